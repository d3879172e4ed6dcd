//! Cantor's basis in the tower, and what the layers need of it.
//!
//! GF(2^8) has the AES polynomial, so that `gf2p8mulb` multiplies in it; GF(2^16) = GF(2^8)\[z\] with
//! z² = z + v_7, GF(2^32) = GF(2^16)\[z\] with z² = z + v_15.

use std::sync::LazyLock;

/// What a transform of 2^J bits needs.
#[derive(Debug)]
pub struct Tables {
    log: usize,
    basis: [u32; 32],
    /// How elements of GF(2^8) are written.
    code: Code,
    pub(super) maps: Maps,
    /// For each index bit, the part of the twiddle that the lane decides, by byte plane.
    pub(super) lanes: Vec<[[u8; 64]; 4]>,
    /// The layers 5 to 11 of both halves that layer 3 leaves.
    pub(super) spread: [Spread; 2],
    /// Σ v_(1+k) over the bits k of a number, as bytes are written, eight times.
    pub(super) sums: [u64; 128],
    /// Multiplication by them.
    #[cfg(target_arch = "x86_64")]
    pub(super) times_sums: [Map; 128],
}

/// The index bits that the six bits of a lane number stand for after layer 11, below J.
pub(super) const LANE_BITS: [usize; 6] = [5, 6, 7, 9, 10, 11];

impl Tables {
    /// The tables of transforms of 2^`log` bits: 20 or 24, where the modulus is sparse and close to x^N;
    /// made once.
    ///
    /// # Panics
    /// For any other size.
    #[must_use]
    pub fn of(log: usize) -> &'static Self {
        static SHORT: LazyLock<Tables> = LazyLock::new(|| Tables::new(20, Code::plain()));
        static LONG: LazyLock<Tables> = LazyLock::new(|| Tables::new(24, Code::plain()));
        assert!(log == 20 || log == 24, "transforms have 2^20 or 2^24 bits, not 2^{log}");
        if log == 20 { &SHORT } else { &LONG }
    }

    /// The same with bytes over nibbles.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn over_nibbles(&self) -> &'static Self {
        static SHORT: LazyLock<Tables> = LazyLock::new(|| Tables::new(20, Code::over_nibbles()));
        static LONG: LazyLock<Tables> = LazyLock::new(|| Tables::new(24, Code::over_nibbles()));
        if self.log == 20 { &SHORT } else { &LONG }
    }

    fn new(log: usize, code: Code) -> Self {
        let basis = cantor_basis();
        let written = |planes: [[u8; 64]; 4]| planes.map(|plane| plane.map(|byte| code.write(byte)));
        let lanes = (0..log - 11).map(|bit| written(lane_part(&basis, log, bit))).collect();
        let field = Field { log, basis };
        let spread = [Spread::new(&field, &code, 0), Spread::new(&field, &code, 1)];
        Self {
            log,
            basis,
            maps: Maps::new(&basis, &code),
            lanes,
            spread,
            #[cfg(target_arch = "x86_64")]
            times_sums: std::array::from_fn(|bits| {
                Map::new(|x| code.write(multiply8(code.read(x), sum_of(&basis, bits))))
            }),
            sums: std::array::from_fn(|bits| u64::from_le_bytes([code.write(sum_of(&basis, bits)); 8])),
            code,
        }
    }

    /// A plane of an element of GF(2^32), as bytes are written.
    pub(super) fn plane(&self, element: u32, plane: usize) -> u8 {
        self.code.write(element.to_le_bytes()[plane])
    }

    /// J.
    #[must_use]
    pub fn log(&self) -> usize {
        self.log
    }

    /// N in words.
    #[must_use]
    pub fn words(&self) -> usize {
        1 << (self.log - 6)
    }

    /// v_i.
    pub(super) fn v(&self, i: usize) -> u32 {
        self.basis[i]
    }

    /// Where coefficient N lands: the exponents of the modulus below N.
    #[must_use]
    pub fn wraps(&self) -> [usize; 4] {
        [0, 1, 1 << (self.log - 16), 1 << 16]
    }

    /// Σ v_(b−i) over the bits b > i of a mask of index bits.
    pub(super) fn chosen(&self, i: usize, mask: u32) -> u32 {
        Field { log: self.log, basis: self.basis }.chosen(i, mask)
    }

    /// a · b in GF(2^32).
    pub(super) fn multiply32(&self, a: u32, b: u32) -> u32 {
        multiply32(self.basis[7] as u8, self.basis[15] as u16, a, b)
    }

    /// The whole twiddle of layer i.
    pub(super) fn twiddle(&self, i: usize, mask: u32) -> u32 {
        self.basis[self.log - i] ^ self.chosen(i, mask)
    }
}

/// Σ v_(1+k) over the bits k < 7 of a number: all in GF(2^8).
fn sum_of(basis: &[u32; 32], bits: usize) -> u8 {
    (0..7).filter(|k| bits >> k & 1 == 1).fold(0, |sum, k| sum ^ basis[1 + k] as u8)
}

/// Cantor's basis and the size.
struct Field {
    log: usize,
    basis: [u32; 32],
}

impl Field {
    fn chosen(&self, i: usize, mask: u32) -> u32 {
        (i + 1..self.log).filter(|b| mask >> b & 1 == 1).fold(0, |sum, b| sum ^ self.basis[b - i])
    }
}

fn lane_part(basis: &[u32; 32], log: usize, bit: usize) -> [[u8; 64]; 4] {
    let mut planes = [[0; 64]; 4];
    for lane in 0..64 {
        let chosen = (0..6).filter(|k| lane >> k & 1 == 1).map(|k| log - LANE_BITS[k]);
        let sum = chosen.fold(0, |sum, b| sum ^ basis[b - bit]);
        for (plane, byte) in planes.iter_mut().zip(sum.to_le_bytes()) {
            plane[lane] = byte;
        }
    }
    planes
}

/// Twiddles of the layers 5 to 11 in one of the halves that layer 3 leaves; number bit k of a group of
/// 64 stands for index bit J − [`LANE_BITS`]\[k\], and the bits 0 to 2 are lane bits from layer 8 on.
#[derive(Debug)]
pub(super) struct Spread {
    /// Layers 5, 6, 7 (k = 0, 1, 2) by the number bits below k: multiplication by the byte for 2^k + number.
    pub(super) bytes: [Map; 8],
    /// Layer 8, lane by lane.
    pub(super) eighth: [u8; 64],
    /// Layers 9, 10, 11 (k = 0, 1, 2) by the number bits 3 to 2 + k: the two planes for 2^k + number.
    pub(super) pairs: [[[u8; 64]; 2]; 8],
}

impl Spread {
    fn new(field: &Field, code: &Code, half: u32) -> Self {
        let log = field.log;
        let mask = |number: usize| {
            let bits = (0..6).filter(|k| number >> k & 1 == 1).map(|k| 1 << (log - LANE_BITS[k]));
            bits.fold(half << (log - 3), |mask, bit: u32| mask | bit)
        };
        let twiddle = |k: usize, number: usize| {
            let i = log - LANE_BITS[k];
            field.basis[log - i] ^ field.chosen(i, mask(number))
        };
        let layer = |place: usize| place.max(1).ilog2() as usize;
        let rest = |place: usize| place - (1 << layer(place));
        let wide = |place: usize, lane: usize| {
            let twiddle = twiddle(3 + layer(place), rest(place) << 3 | lane & 7);
            twiddle.to_le_bytes()
        };
        Self {
            bytes: std::array::from_fn(|place| {
                let t = if place == 0 { 0 } else { twiddle(layer(place), rest(place)) as u8 };
                Map::new(|x| code.write(multiply8(code.read(x), t)))
            }),
            eighth: std::array::from_fn(|lane| code.write(field.chosen(log - 8, mask(lane & 7)) as u8)),
            pairs: std::array::from_fn(|place| match place {
                0 => [[0; 64]; 2],
                _ => [0, 1].map(|plane| std::array::from_fn(|lane| code.write(wide(place, lane)[plane]))),
            }),
        }
    }
}

/// A linear map of bytes.
#[derive(Debug)]
pub(super) struct Map {
    /// As `gf2p8affineqb` reads it: row r in byte 7 − r.
    #[cfg(target_arch = "x86_64")]
    pub(super) matrix: u64,
    /// The images of the sixteen low and the sixteen high nibbles.
    #[cfg(target_arch = "x86_64")]
    pub(super) nibbles: [[u8; 16]; 2],
    /// The images of the single bits.
    pub(super) columns: [u8; 8],
}

impl Map {
    fn new(map: impl Fn(u8) -> u8) -> Self {
        let columns: [u8; 8] = std::array::from_fn(|bit| map(1 << bit));
        let matrix = (0..64).fold(0, |matrix, place: usize| {
            let (row, column) = (place / 8, place % 8);
            matrix | u64::from(columns[column] >> row & 1) << (8 * (7 - row) + column)
        });
        Self {
            #[cfg(target_arch = "x86_64")]
            matrix,
            #[cfg(target_arch = "x86_64")]
            nibbles: [0, 4].map(|shift| std::array::from_fn(|nibble| map((nibble as u8) << shift))),
            columns,
        }
    }
}

/// The maps that the layers need.
#[derive(Debug)]
pub(super) struct Maps {
    /// Multiplication by γ = v_7 and by v_3.
    #[cfg(target_arch = "x86_64")]
    pub(super) gamma: Map,
    #[cfg(target_arch = "x86_64")]
    pub(super) v3: Map,
    /// Multiplication by β = v_15 as two by two maps over GF(2^8).
    pub(super) beta: [Map; 4],
    /// A byte of the bits that the layers 1, 2, 4 choose by, in the basis of products of v_1, v_2, v_4; and
    /// back.
    pub(super) packed: Map,
    pub(super) unpacked: Map,
    /// Layer 4 of the upper half, and back.
    pub(super) fourth: Map,
    pub(super) fourth_back: Map,
}

impl Maps {
    fn new(basis: &[u32; 32], code: &Code) -> Self {
        let v = |i: usize| basis[i] as u8;
        let (gamma, beta) = (v(7), basis[15] as u16);
        // A map of elements as one of what is written for them.
        let written = |map: &dyn Fn(u8) -> u8| Map::new(|x| code.write(map(code.read(x))));
        let times_beta = |shift: u32, part: usize| {
            written(&|x| multiply16(gamma, u16::from(x) << shift, beta).to_le_bytes()[part])
        };
        let product = |bits: u8| {
            [1, 2, 4].iter().enumerate().fold(1, |product, (bit, i)| match bits >> bit & 1 {
                1 => multiply8(product, v(*i)),
                _ => product,
            })
        };
        let products: [u8; 8] = std::array::from_fn(|bits| product(bits as u8));
        let pack =
            move |x: u8| (0..8).fold(0, |sum, bit| sum ^ products[bit] & 0u8.wrapping_sub(x >> bit & 1));
        let unpack = back(pack);
        let fourth = |x: u8| x ^ multiply8(v(1), pack(unpack(x) >> 4));
        Self {
            #[cfg(target_arch = "x86_64")]
            gamma: written(&|x| multiply8(x, gamma)),
            #[cfg(target_arch = "x86_64")]
            v3: written(&|x| multiply8(x, v(3))),
            beta: [times_beta(0, 0), times_beta(8, 0), times_beta(0, 1), times_beta(8, 1)],
            packed: Map::new(|x| code.write(pack(x))),
            unpacked: Map::new(|x| unpack(code.read(x))),
            fourth: written(&fourth),
            fourth_back: written(&back(fourth)),
        }
    }
}

/// How elements of GF(2^8) are written: by the AES polynomial, or with two nibbles.
struct Code {
    written: [u8; 256],
    read: [u8; 256],
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.written[2] == 2 { "Code(polynomial)" } else { "Code(nibbles)" })
    }
}

impl Code {
    fn plain() -> Self {
        let same = std::array::from_fn(|byte| byte as u8);
        Self { written: same, read: same }
    }

    /// Powers of x to powers of a root of the AES polynomial over the nibbles.
    #[cfg(target_arch = "x86_64")]
    fn over_nibbles() -> Self {
        let power = |root: u8, k: usize| (0..k).fold(1, |power, _| super::nibbles::multiply(power, root));
        let is_root = |root: &u8| [0, 1, 3, 4, 8].iter().fold(0, |sum, k| sum ^ power(*root, *k)) == 0;
        let root = (2..=255).find(is_root).unwrap_or(1);
        let written: [u8; 256] = std::array::from_fn(|byte| {
            (0..8).filter(|k| byte >> k & 1 == 1).fold(0, |sum, k| sum ^ power(root, k))
        });
        let mut read = [0; 256];
        written.iter().enumerate().for_each(|(byte, written)| read[usize::from(*written)] = byte as u8);
        Self { written, read }
    }

    fn write(&self, byte: u8) -> u8 {
        self.written[usize::from(byte)]
    }

    fn read(&self, byte: u8) -> u8 {
        self.read[usize::from(byte)]
    }
}

/// The inverse of a linear map of bytes.
fn back(map: impl Fn(u8) -> u8) -> impl Fn(u8) -> u8 {
    let mut table = [0; 256];
    for x in 0..=255 {
        table[usize::from(map(x))] = x;
    }
    move |y| table[usize::from(y)]
}

/// a · b in GF(2^8).
pub(super) fn multiply8(a: u8, b: u8) -> u8 {
    let (mut product, mut shifted) = (0, a);
    for bit in 0..8 {
        product ^= shifted & 0u8.wrapping_sub(b >> bit & 1);
        shifted = shifted << 1 ^ (0x1b & 0u8.wrapping_sub(shifted >> 7));
    }
    product
}

/// a · b in GF(2^16), z² = z + γ.
pub(super) fn multiply16(gamma: u8, a: u16, b: u16) -> u16 {
    let ([a0, a1], [b0, b1]) = (a.to_le_bytes(), b.to_le_bytes());
    let (low, high) = (multiply8(a0, b0), multiply8(a1, b1));
    let middle = multiply8(a0 ^ a1, b0 ^ b1);
    u16::from_le_bytes([low ^ multiply8(high, gamma), middle ^ low])
}

/// a · b in GF(2^32), z² = z + β.
fn multiply32(gamma: u8, beta: u16, a: u32, b: u32) -> u32 {
    let (a0, a1, b0, b1) = (a as u16, (a >> 16) as u16, b as u16, (b >> 16) as u16);
    let (low, high) = (multiply16(gamma, a0, b0), multiply16(gamma, a1, b1));
    let middle = multiply16(gamma, a0 ^ a1, b0 ^ b1);
    u32::from(low ^ multiply16(gamma, high, beta)) | u32::from(middle ^ low) << 16
}

/// v_0 … v_31.
fn cantor_basis() -> [u32; 32] {
    let mut v = [1u32; 32];
    for i in 1..32 {
        let (gamma, beta) = (v[7.min(i - 1)] as u8, v[15.min(i - 1)] as u16);
        let width = if i < 8 { 8 } else { if i < 16 { 16 } else { 32 } };
        v[i] = match i {
            8 | 16 => 1 << i,
            _ => solve(v[i - 1], width, |y| {
                let square = match width {
                    8 => u32::from(multiply8(y as u8, y as u8)),
                    16 => u32::from(multiply16(gamma, y as u16, y as u16)),
                    _ => multiply32(gamma, beta, y, y),
                };
                square ^ y
            }),
        };
    }
    v
}

/// The even solution y of a linear map y ↦ `map`(y) = c over `width` bits.
fn solve(mut c: u32, width: usize, map: impl Fn(u32) -> u32) -> u32 {
    // Rows of an echelon form: pivot bit, image, source.
    let mut rows: Vec<(u32, u32, u32)> = Vec::new();
    for bit in 1..width {
        let (mut image, mut source) = (map(1 << bit), 1u32 << bit);
        for (pivot, row, from) in &rows {
            if image & pivot != 0 {
                image ^= row;
                source ^= from;
            }
        }
        let pivot = image & image.wrapping_neg();
        for (_, row, from) in &mut rows {
            if *row & pivot != 0 {
                *row ^= image;
                *from ^= source;
            }
        }
        if image != 0 {
            rows.push((pivot, image, source));
        }
    }
    let mut solution = 0;
    for (pivot, row, from) in &rows {
        if c & pivot != 0 {
            c ^= row;
            solution ^= from;
        }
    }
    assert_eq!(c, 0, "y² + y = v has a solution within Cantor's tower");
    solution
}
