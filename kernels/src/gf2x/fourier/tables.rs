//! Cantor's basis in the tower, and what the layers need of it.
//!
//! GF(2^8) has the AES polynomial, so that `gf2p8mulb` multiplies in it; GF(2^16) = GF(2^8)\[z\] with
//! z² = z + v_7, GF(2^32) = GF(2^16)\[z\] with z² = z + v_15.

/// What a transform of 2^J bits needs.
#[derive(Debug)]
pub struct Tables {
    log: usize,
    basis: [u32; 32],
    /// For each index bit, the part of the twiddle that the lane decides, by byte plane.
    #[cfg(target_arch = "x86_64")]
    pub(super) lanes: Vec<[[u8; 64]; 4]>,
}

/// The index bits that the six bits of a lane number stand for, below J.
pub(super) const LANE_BITS: [usize; 6] = [5, 6, 7, 9, 10, 11];

impl Tables {
    /// The tables of transforms of 2^`log` bits: 20 or 24, where the modulus is sparse and close to x^N.
    ///
    /// # Panics
    /// For any other size.
    #[must_use]
    pub fn new(log: usize) -> Self {
        assert!(log == 20 || log == 24, "transforms have 2^20 or 2^24 bits, not 2^{log}");
        let basis = cantor_basis();
        #[cfg(target_arch = "x86_64")]
        let lanes = (0..log - 11).map(|bit| lane_part(&basis, log, bit)).collect();
        Self {
            log,
            basis,
            #[cfg(target_arch = "x86_64")]
            lanes,
        }
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
    pub(super) fn wraps(&self) -> [usize; 4] {
        [0, 1, 1 << (self.log - 16), 1 << 16]
    }

    /// Σ v_(b−i) over the bits b > i of a mask of index bits.
    pub(super) fn chosen(&self, i: usize, mask: u32) -> u32 {
        (i + 1..self.log).filter(|b| mask >> b & 1 == 1).fold(0, |sum, b| sum ^ self.basis[b - i])
    }

    /// The whole twiddle of layer i.
    pub(super) fn twiddle(&self, i: usize, mask: u32) -> u32 {
        self.basis[self.log - i] ^ self.chosen(i, mask)
    }
}

#[cfg(target_arch = "x86_64")]
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
