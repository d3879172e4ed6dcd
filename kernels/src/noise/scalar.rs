//! The reference, block by block; a run of gates in one block shares it.

/// "expand 32-byte k"
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

pub(super) fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]) {
    assert_eq!(gates.len(), out.len(), "a word a gate");
    let mut held = None;
    for (gate, out) in gates.iter().zip(out) {
        let counter = gate / 16;
        let block = match held {
            Some((known, block)) if known == counter => block,
            _ => block(key, counter),
        };
        held = Some((counter, block));
        *out = block[(gate % 16) as usize];
    }
}

fn block(key: &[u32; 8], counter: u64) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&CONSTANTS);
    start[4..12].copy_from_slice(key);
    start[12] = counter as u32;
    start[13] = (counter >> 32) as u32;
    let mut state = start;
    for _ in 0..4 {
        for column in 0..4 {
            quarter(&mut state, [column, 4 + column, 8 + column, 12 + column]);
        }
        for diagonal in 0..4 {
            let [b, c, d] = [1, 2, 3].map(|row| 4 * row + (diagonal + row) % 4);
            quarter(&mut state, [diagonal, b, c, d]);
        }
    }
    std::array::from_fn(|i| state[i].wrapping_add(start[i]))
}

fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (rotation_d, rotation_b) in [(16, 12), (8, 7)] {
        state[a] = state[a].wrapping_add(state[b]);
        state[d] = (state[d] ^ state[a]).rotate_left(rotation_d);
        state[c] = state[c].wrapping_add(state[d]);
        state[b] = (state[b] ^ state[c]).rotate_left(rotation_b);
    }
}
