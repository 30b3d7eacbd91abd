//! What went wrong, as gRPC says it: a code, and the same sentence as over HTTP.

use axum::http::{HeaderMap, StatusCode};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::api::problem::Problem;

/// The status for a problem.
pub(super) fn of(problem: &Problem) -> Status {
    with(problem, HeaderMap::new())
}

/// The same with metadata beside it.
pub(super) fn with(problem: &Problem, metadata: HeaderMap) -> Status {
    let metadata = MetadataMap::from_headers(metadata);
    Status::with_metadata(code(problem.status()), problem.sentence(), metadata)
}

fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::NOT_IMPLEMENTED => Code::Unimplemented,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        // A request that is too large is so at the second try as well.
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_tell_what_it_should_do() {
        for (status, expected) in [
            (400, Code::InvalidArgument),
            (413, Code::InvalidArgument),
            (404, Code::NotFound),
            (429, Code::ResourceExhausted),
            (500, Code::Internal),
            (501, Code::Unimplemented),
            (503, Code::Unavailable),
            (504, Code::DeadlineExceeded),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let problem = Problem::new(status, "some_code", "a sentence");
            let told = of(&problem);
            assert_eq!((told.code(), told.message()), (expected, "a sentence"));
        }
    }
}
