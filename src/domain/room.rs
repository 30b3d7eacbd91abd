//! Whether there is memory for one more version.

use bytesize::ByteSize;

/// There is no memory for a version: the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it needs about {}, and of the {} that the server may have (`repository.memory_budget`) {} are in use",
    ByteSize(*.needed), ByteSize(*.budget), ByteSize(*.used)
)]
pub struct NoRoom {
    /// Bytes that the version takes while it is loaded.
    pub needed: u64,
    /// Bytes that the process has.
    pub used: u64,
    /// Bytes that it may have.
    pub budget: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_gives_the_numbers() {
        let no_room = NoRoom { needed: 300 << 20, used: 800 << 20, budget: 1 << 30 };
        assert_eq!(
            no_room.to_string(),
            "it needs about 300.0 MiB, and of the 1.0 GiB that the server may have (`repository.memory_budget`) 800.0 MiB are in use"
        );
    }
}
