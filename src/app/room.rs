//! How many connections each listener may have, so that files can always be opened as well.

/// Connections at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Of the HTTP listener.
    pub(super) clients: usize,
    /// Of the gRPC listener, on whose connections many requests are under way at once.
    pub(super) callers: usize,
    /// Of each other listener.
    pub(super) operators: usize,
}

/// More than a server of models answers, and each takes memory.
const MOST_BY_ITSELF: usize = 10_000;
const MOST_CALLERS: usize = 1024;
const MOST_OPERATORS: usize = 64;

impl Room {
    /// Shares out what the process may have open: three quarters to clients, and a sixteenth each to the gRPC listener and to
    /// the two for operators. Models, the journal and the like have the rest. Whoever asks for more than there is gets what there
    /// is, and is told.
    pub(super) fn within(descriptors: usize, asked: Option<usize>) -> Self {
        let a_part = (descriptors / 16).max(1);
        let (callers, operators) = (a_part.min(MOST_CALLERS), a_part.min(MOST_OPERATORS));
        let there_is = (descriptors - descriptors / 4).max(1);
        let Some(asked) = asked else {
            return Self { clients: there_is.min(MOST_BY_ITSELF), callers, operators };
        };
        if asked > there_is {
            tracing::warn!(
                "`http.max_connections` is {asked}, but the process may have {descriptors} files open: {there_is} connections are taken; raise the limit (`ulimit -n`, `LimitNOFILE=`)"
            );
        }
        Self { clients: asked.min(there_is), callers, operators }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(descriptors: usize, asked: Option<usize>) -> (usize, usize) {
        let Room { clients, callers, operators } = Room::within(descriptors, asked);
        assert!(callers + 2 * operators < descriptors / 4, "{descriptors}");
        (clients, operators)
    }

    #[test]
    fn clients_get_most_and_something_is_left_for_files() {
        for (descriptors, expected) in
            [(1 << 20, (10_000, 64)), (4096, (3072, 64)), (1024, (768, 64)), (256, (192, 16))]
        {
            assert_eq!(room(descriptors, None), expected, "{descriptors}");
            assert!(expected.0 + 2 * expected.1 < descriptors, "{descriptors}");
        }
    }

    #[test]
    fn what_is_asked_for_holds_as_far_as_there_is_room() {
        assert_eq!(room(1024, Some(10)), (10, 64));
        assert_eq!(room(1 << 20, Some(50_000)), (50_000, 64));
        assert_eq!(room(1024, Some(50_000)), (768, 64));
    }
}
