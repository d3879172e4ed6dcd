//! The journal: groups of records, appended and synced, one after the other.
//!
//! ```text
//! file   = "KEYSTILJ" · version:u32 · generation:u64 · check:16 bytes
//!        · group 0 · group 1 · …
//! group  = "GRUP" · length:u32 · number:u64 · check:16 bytes · records
//! ```
//!
//! Numbers are little-endian. A check is the first half of BLAKE3 over all of its header and group,
//! with the generation: it finds damage, not forgery. A group is written only after the one before was
//! synced, so after a crash only the last can be torn: a bad group is cut if no good one follows, and
//! the journal refused if one does. Group 0 is the sum of all that was before: a new generation is
//! written beside the journal, synced, and takes its name at one stroke.
//!
//! No key and no pad stands in a journal.

use super::disk::Disk;
use super::error::StoreError;

/// The version of the file format.
pub const VERSION: u32 = 2;

/// The oldest that is read: version 2 added the record of keys that are given up.
const OLDEST: u32 = 1;

const NAME: &str = "journal";
const NEXT: &str = "journal.next";
const MAGIC: &[u8; 8] = b"KEYSTILJ";
const MARK: &[u8; 4] = b"GRUP";
const HEADER: usize = 8 + 4 + 8 + 16;
const GROUP: usize = 4 + 4 + 8 + 16;

/// A journal's generation and its groups of records.
pub(super) type Found = (u64, Vec<Vec<u8>>);

/// Where the next group goes.
#[derive(Debug, Default)]
pub(super) struct Journal {
    generation: u64,
    groups: u64,
    bytes: u64,
}

fn check(generation: u64, number: u64, body: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"keystill journal").update(&generation.to_le_bytes()).update(&number.to_le_bytes());
    hasher.update(&(body.len() as u64).to_le_bytes()).update(body);
    let mut check = [0; 16];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    check
}

fn group(generation: u64, number: u64, records: &[u8]) -> Result<Vec<u8>, StoreError> {
    let length = u32::try_from(records.len()).map_err(|_| StoreError::TooLong { bytes: records.len() })?;
    let mut bytes = Vec::with_capacity(GROUP + records.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&check(generation, number, records));
    bytes.extend_from_slice(records);
    Ok(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// The group that begins the bytes, if a good one does: its number and its records.
fn parse(generation: u64, bytes: &[u8]) -> Option<(u64, &[u8])> {
    let header = bytes.get(..GROUP).filter(|header| header.starts_with(MARK))?;
    let length = usize::try_from(number(&header[4..8])).ok()?;
    let records = bytes.get(GROUP..GROUP.checked_add(length)?)?;
    let own = number(&header[8..16]);
    (check(generation, own, records) == header[16..32]).then_some((own, records))
}

impl Journal {
    /// Begins a new generation that says `sum`, in place of what was.
    pub(super) fn begin(disk: &mut dyn Disk, generation: u64, sum: &[u8]) -> Result<Self, StoreError> {
        let mut bytes = Vec::with_capacity(HEADER + GROUP + sum.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&generation.to_le_bytes());
        let header = check(generation, u64::MAX, &bytes);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&group(generation, 0, sum)?);
        disk.remove(NEXT).map_err(StoreError::during("remove", NEXT))?;
        write_all(disk, NEXT, 0, &bytes)?;
        disk.sync(NEXT).map_err(StoreError::during("sync", NEXT))?;
        disk.rename(NEXT, NAME).map_err(StoreError::during("rename", NEXT))?;
        Ok(Self { generation, groups: 1, bytes: bytes.len() as u64 })
    }

    /// Appends a group and makes it last.
    pub(super) fn append(&mut self, disk: &mut dyn Disk, records: &[u8]) -> Result<(), StoreError> {
        let bytes = group(self.generation, self.groups, records)?;
        write_all(disk, NAME, self.bytes, &bytes)?;
        disk.sync(NAME).map_err(StoreError::during("sync", NAME))?;
        self.groups += 1;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What a journal says: its generation and its groups, a torn last one left out.
pub(super) fn read(disk: &mut dyn Disk) -> Result<Option<Found>, StoreError> {
    let Some(bytes) = disk.read(NAME).map_err(StoreError::during("read", NAME))? else { return Ok(None) };
    let damaged = |offset: usize| StoreError::Damaged { file: NAME, offset: offset as u64 };
    let header = bytes.get(..HEADER).filter(|header| header.starts_with(MAGIC)).ok_or(damaged(0))?;
    let version = number(&header[8..12]);
    if !(u64::from(OLDEST)..=u64::from(VERSION)).contains(&version) {
        return Err(StoreError::Version { file: NAME, found: version, known: VERSION.into() });
    }
    let generation = number(&header[12..20]);
    if check(generation, u64::MAX, &header[..20]) != header[20..] {
        return Err(damaged(8));
    }
    let (mut groups, mut offset) = (Vec::new(), HEADER);
    while offset < bytes.len() || groups.is_empty() {
        match parse(generation, &bytes[offset..]) {
            Some((own, records)) if own == groups.len() as u64 => {
                groups.push(records.to_vec());
                offset += GROUP + records.len();
            }
            _ if groups.is_empty() || good_group_after(generation, &bytes, offset) => {
                return Err(damaged(offset));
            }
            _ => break,
        }
    }
    Ok(Some((generation, groups)))
}

fn good_group_after(generation: u64, bytes: &[u8], offset: usize) -> bool {
    let places = bytes[offset..].windows(MARK.len()).enumerate().filter(|(_, window)| window == MARK);
    places.map(|(place, _)| offset + place).any(|place| parse(generation, &bytes[place..]).is_some())
}

/// Writes all bytes: a short write is gone on with, no progress is an error.
pub(super) fn write_all(
    disk: &mut dyn Disk,
    name: &'static str,
    mut offset: u64,
    mut bytes: &[u8],
) -> Result<(), StoreError> {
    while !bytes.is_empty() {
        let written = disk.write(name, offset, bytes).map_err(StoreError::during("write", name))?;
        if written == 0 {
            return Err(StoreError::during("write", name)(std::io::ErrorKind::WriteZero.into()));
        }
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::disk::InMemory;
    use super::*;

    fn written(groups: &[&[u8]]) -> (InMemory, Vec<u8>) {
        let mut disk = InMemory::new();
        let mut journal = Journal::begin(&mut disk, 3, b"sum").expect("begun");
        for group in groups {
            journal.append(&mut disk, group).expect("appended");
        }
        let bytes = disk.read(NAME).expect("readable").expect("there");
        assert_eq!(bytes.len() as u64, journal.bytes(), "its length is known");
        (disk, bytes)
    }

    fn holding(bytes: &[u8]) -> InMemory {
        let mut disk = InMemory::new();
        disk.write(NAME, 0, bytes).expect("written");
        disk
    }

    #[test]
    fn a_tail_cut_anywhere_loses_the_last_group_only() {
        let (mut disk, bytes) = written(&[b"one", b"two", b"three"]);
        let (generation, groups) = read(&mut disk).expect("good").expect("there");
        assert_eq!((generation, groups.len()), (3, 4), "the sum and three groups");
        let last = bytes.len() - GROUP - 5;
        for cut in last..bytes.len() {
            let (_, groups) = read(&mut holding(&bytes[..cut])).expect("torn, not bad").expect("there");
            assert_eq!(groups.len(), 3, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_a_torn_tail_at_the_end_and_damage_before() {
        let (_, bytes) = written(&[b"one", b"two"]);
        let last = bytes.len() - GROUP - 3;
        for bit in 0..8 * bytes.len() {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match read(&mut holding(&bad)) {
                Ok(Some((_, groups))) => {
                    assert!(bit / 8 >= last && groups.len() == 2, "bit {bit} was not noticed");
                }
                Err(StoreError::Damaged { .. } | StoreError::Version { .. }) => {
                    assert!(bit / 8 < last, "bit {bit} is in the tail");
                }
                other => panic!("bit {bit}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_version_before_is_read() {
        let (_, mut bytes) = written(&[]);
        bytes[8] = 1;
        let generation = number(&bytes[12..20]);
        let own = check(generation, u64::MAX, &bytes[..20]);
        bytes[20..HEADER].copy_from_slice(&own);
        assert!(matches!(read(&mut holding(&bytes)), Ok(Some(_))), "as it was written");
    }

    #[test]
    fn an_unknown_version_is_named() {
        let (_, mut bytes) = written(&[]);
        bytes[8] = 9;
        let error = read(&mut holding(&bytes)).expect_err("not ours");
        assert!(matches!(error, StoreError::Version { found: 9, known: 2, .. }), "{error}");
    }
}
