//! Bodies that are compressed: gzip, and deflate, which on the web is a zlib stream.
//!
//! A few bytes can stand for very many. So what comes out of a request's body has the limits of a body itself, and is
//! counted while it comes.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, Status};
use http_body_util::BodyExt;

use super::aside::aside;
use super::bodies::{Full, Held};
use super::body::{too_large, too_many};
use super::problem::Problem;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                Some(Self::Gzip)
            }
            _ if name.eq_ignore_ascii_case("deflate") => Some(Self::Deflate),
            _ => None,
        }
    }

    /// How a request's body is compressed; none where it is not.
    ///
    /// # Errors
    /// [`Problem`] where it is in a way that nobody here understands.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = match (values.next(), values.next()) {
            (None, _) => return Ok(None),
            (Some(value), None) => value.to_str().unwrap_or_default().trim(),
            (Some(_), Some(_)) => "",
        };
        if encoding.eq_ignore_ascii_case("identity") {
            return Ok(None);
        }
        Self::named(encoding).map(Some).ok_or_else(|| {
            Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                "the body is compressed, and not with gzip or deflate; compress it so, or send it without `content-encoding`",
            )
        })
    }

    /// How the client would like its answer compressed best; none where it would rather not, or says nothing.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::ACCEPT_ENCODING).iter().peekable();
        values.peek()?;
        let (mut gzip, mut deflate, mut identity, mut others) = (None, None, 0.0, 0.0);
        let items = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        for item in items {
            let (name, quality) = match item.split_once(';') {
                Some((name, parameter)) => (name.trim(), quality(parameter)),
                None => (item.trim(), 1.0),
            };
            match Self::named(name) {
                Some(Self::Gzip) => gzip = Some(quality),
                Some(Self::Deflate) => deflate = Some(quality),
                None if name.eq_ignore_ascii_case("identity") => identity = quality,
                None if name == "*" => others = quality,
                None => {}
            }
        }
        let (gzip, deflate) = (gzip.unwrap_or(others), deflate.unwrap_or(others));
        let best = if gzip >= deflate { (Self::Gzip, gzip) } else { (Self::Deflate, deflate) };
        (best.1 > 0.0 && best.1 >= identity).then_some(best.0)
    }
}

/// From 0, not at all, to 1.
fn quality(parameter: &str) -> f32 {
    let value = parameter.trim().strip_prefix("q=").and_then(|value| value.trim().parse().ok());
    value.filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0)
}

/// What comes out of a compressed body: `most` bytes at most, which count in `held`.
pub(super) fn decompressed(
    compressed: &[u8],
    encoding: Encoding,
    most: usize,
    held: &mut Held,
) -> Result<Vec<u8>, Problem> {
    let mut coming = Coming::new(compressed, encoding, most);
    if coming.take(held)? {
        return Ok(coming.out);
    }
    // More may come than anybody would guess from the bytes that there are.
    aside(usize::MAX, || {
        while !coming.take(held)? {}
        Ok(coming.out)
    })
}

/// A body on its way out of its compressed form.
struct Coming<'c> {
    rest: &'c [u8],
    stream: Decompress,
    encoding: Encoding,
    out: Vec<u8>,
    most: usize,
}

impl<'c> Coming<'c> {
    fn new(compressed: &'c [u8], encoding: Encoding, most: usize) -> Self {
        /// The largest window that a stream may have: 2 to the power of it.
        const WINDOW: u8 = 15;
        let stream = match encoding {
            Encoding::Gzip => Decompress::new_gzip(WINDOW),
            Encoding::Deflate => Decompress::new(true),
        };
        Self { rest: compressed, stream, encoding, out: Vec::new(), most }
    }

    /// Takes some more of it. True at its end.
    fn take(&mut self, held: &mut Held) -> Result<bool, Problem> {
        const STEP: usize = 64 << 10;
        let before = self.out.len();
        // One more than may come shows that there is more.
        self.out.resize(before + STEP.min(self.most + 1 - before), 0);
        let (taken, given) = (self.stream.total_in(), self.stream.total_out());
        let room = &mut self.out[before..];
        let status = self.stream.decompress(self.rest, room, FlushDecompress::None);
        let status = status.map_err(|_| not_so_encoded(self.encoding))?;
        let taken = (self.stream.total_in() - taken) as usize;
        let given = (self.stream.total_out() - given) as usize;
        self.rest = &self.rest[taken..];
        self.out.truncate(before + given);
        if self.out.len() > self.most {
            return Err(too_large(self.most));
        }
        if self.out.len() > STEP {
            held.unpack_to(self.out.capacity()).map_err(|Full| too_many())?;
        }
        match status {
            Status::StreamEnd if self.rest.is_empty() => Ok(true),
            Status::Ok | Status::BufError if taken > 0 || given > 0 => Ok(false),
            // It ends too early, or not where the body does.
            Status::Ok | Status::BufError | Status::StreamEnd => Err(not_so_encoded(self.encoding)),
        }
    }
}

fn not_so_encoded(encoding: Encoding) -> Problem {
    let name = encoding.name();
    let sentence =
        format!("`content-encoding` says {name}, but the body is no whole {name} stream");
    Problem::bad_request("malformed_encoding", sentence)
}

/// An answer to a client that takes it compressed. One that is so small that it fits into a packet as it is, or of which
/// nobody knows how long it will be, stays as it is.
pub(super) async fn compressed(response: Response, encoding: Encoding) -> Response {
    const LEAST: u64 = 1024;
    let length = response.body().size_hint().exact().unwrap_or(0);
    let headers = response.headers();
    if length < LEAST
        || headers.contains_key(header::CONTENT_ENCODING)
        || headers.contains_key(header::ETAG)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // All of it is there.
    let Ok(body) = body.collect().await else { return Response::from_parts(parts, Body::empty()) };
    let body = body.to_bytes();
    // It takes about four times as long as writing the text.
    let packed = aside(body.len().saturating_mul(4), || pack(&body, encoding));
    let Ok(packed) = packed else { return Response::from_parts(parts, Body::from(body)) };
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed.len() >= body.len() {
        return Response::from_parts(parts, Body::from(body));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    let name = HeaderValue::from_static(encoding.name());
    parts.headers.insert(header::CONTENT_ENCODING, name);
    Response::from_parts(parts, Body::from(packed))
}

/// Answers are made for one client each: what is quick is better than what is small.
fn pack(body: &[u8], encoding: Encoding) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 4);
    match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(out, Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
    }
}

/// [`compressed`], for routes that are asked for with GET.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let encoding = Encoding::accepted(request.headers());
    let response = next.run(request).await;
    match encoding {
        Some(encoding) => compressed(response, encoding).await,
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bodies::Bodies;
    use super::*;

    fn headers(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| (name.clone(), HeaderValue::from_static(value)));
        values.collect()
    }

    #[test]
    fn a_client_says_what_it_likes_best() {
        use Encoding::{Deflate, Gzip};
        for (accepted, expected) in [
            (&["gzip"][..], Some(Gzip)),
            (&["gzip, deflate"], Some(Gzip)),
            (&["deflate, gzip;q=0.5"], Some(Deflate)),
            (&["gzip;q=0.4 , deflate ;q=0.6"], Some(Deflate)),
            (&["br", "deflate"], Some(Deflate)),
            (&["*"], Some(Gzip)),
            (&["*;q=0.5, gzip;q=0"], Some(Deflate)),
            (&["X-GZIP"], Some(Gzip)),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0"], None),
            (&["gzip;q=much"], None),
            (&["identity"], None),
            (&["br"], None),
            (&[""], None),
            (&[], None),
        ] {
            let headers = headers(header::ACCEPT_ENCODING, accepted);
            assert_eq!(Encoding::accepted(&headers), expected, "{accepted:?}");
        }
    }

    #[test]
    fn a_body_is_compressed_in_one_way_or_not_at_all() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["identity"], Ok(None)),
            (&["GZIP"], Ok(Some(Encoding::Gzip))),
            (&["deflate"], Ok(Some(Encoding::Deflate))),
            (&["br"], Err(())),
            (&["gzip, gzip"], Err(())),
            (&["gzip", "deflate"], Err(())),
            (&[""], Err(())),
        ] {
            let headers = headers(header::CONTENT_ENCODING, values);
            assert_eq!(Encoding::of(&headers).map_err(drop), expected, "{values:?}");
        }
    }

    #[tokio::test]
    async fn what_was_packed_comes_out_again_up_to_the_limit() {
        let bodies = Bodies::new(1 << 20);
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            for length in [0, 1, 1000, 64 << 10, (64 << 10) + 1, 1 << 20] {
                let body: Vec<u8> = (0..length).map(|index| (index % 7) as u8).collect();
                let packed = pack(&body, encoding).unwrap();
                let mut held = Held::new(&bodies);
                let out = decompressed(&packed, encoding, 1 << 20, &mut held);
                assert_eq!(out.as_deref(), Ok(&body[..]), "{encoding:?} {length}");
                let out = decompressed(&packed, encoding, length, &mut held);
                assert_eq!(out.as_deref(), Ok(&body[..]));
                if let Some(less) = length.checked_sub(1) {
                    let out = decompressed(&packed, encoding, less, &mut held);
                    assert_eq!(out.unwrap_err(), too_large(less));
                }
                let cut = decompressed(&packed[..packed.len() - 1], encoding, length, &mut held);
                assert_eq!(cut.unwrap_err(), not_so_encoded(encoding), "{length}");
            }
            let mut held = Held::new(&bodies);
            let text = decompressed(b"{\"inputs\": []}", encoding, 100, &mut held);
            assert_eq!(text.unwrap_err(), not_so_encoded(encoding));
        }
    }

    #[tokio::test]
    async fn what_comes_out_counts_together_with_all_other_bodies() {
        let bodies = Bodies::new(256 << 10);
        let packed = pack(&vec![0; 256 << 10], Encoding::Gzip).unwrap();
        let mut kept = Vec::new();
        for _ in 0..4 {
            let mut held = Held::new(&bodies);
            decompressed(&packed, Encoding::Gzip, 256 << 10, &mut held).unwrap();
            kept.push(held);
        }
        let mut held = Held::new(&bodies);
        assert!(decompressed(&packed, Encoding::Gzip, 256 << 10, &mut held).is_err());
    }
}
