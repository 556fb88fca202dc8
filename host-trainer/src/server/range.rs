//! Conditions and ranges (RFC 9110, sections 13 and 14) of what has a strong entity tag.

use std::ops::Range;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;

use super::problem::Refusal;

/// What a representation says of itself.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) kind: &'static str,
    pub(super) etag: HeaderValue,
    pub(super) cache: &'static str,
}

/// What to send of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing: the client has it.
    None,
    /// All of it.
    All,
    /// A range.
    Some(Range<u64>),
}

impl Part {
    /// How many bytes of `len` are sent, and whether the last of them is among them.
    pub(super) fn sent(&self, len: u64) -> (u64, bool) {
        match self {
            Self::None => (0, false),
            Self::All => (len, true),
            Self::Some(range) => (range.end - range.start, range.end == len),
        }
    }
}

impl Meta {
    /// A response with this head and no body.
    pub(super) fn head(&self, status: StatusCode) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.reserve(10);
        headers.insert(ETAG, self.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        response
    }

    /// Answers with `bytes`, or with what the request wants of them.
    pub(super) fn answer(&self, request: &HeaderMap, bytes: &Bytes) -> Result<Response<Body>, Refusal> {
        part(request, &self.etag, bytes.len() as u64).map(|part| self.send(&part, bytes))
    }

    /// Answers with this part of `bytes`.
    pub(super) fn send(&self, part: &Part, bytes: &Bytes) -> Response<Body> {
        let (mut response, body) = match part {
            Part::None => return self.head(StatusCode::NOT_MODIFIED),
            Part::All => (self.head(StatusCode::OK), bytes.clone()),
            Part::Some(range) => {
                let mut response = self.head(StatusCode::PARTIAL_CONTENT);
                response.headers_mut().insert(CONTENT_RANGE, content_range(range, bytes.len() as u64));
                (response, bytes.slice(range.start as usize..range.end as usize))
            }
        };
        *response.body_mut() = Body::from(body);
        response
    }

    /// Answers with a stream of `len` bytes in all, of which `part` comes.
    pub(super) fn stream(&self, part: &Part, len: u64, body: Body) -> Response<Body> {
        let (mut response, sent) = match part {
            Part::None => return self.head(StatusCode::NOT_MODIFIED),
            Part::All => (self.head(StatusCode::OK), len),
            Part::Some(range) => {
                let mut response = self.head(StatusCode::PARTIAL_CONTENT);
                response.headers_mut().insert(CONTENT_RANGE, content_range(range, len));
                (response, range.end - range.start)
            }
        };
        response.headers_mut().insert(CONTENT_LENGTH, sent.into());
        *response.body_mut() = body;
        response
    }
}

fn content_range(range: &Range<u64>, len: u64) -> HeaderValue {
    let text = format!("bytes {}-{}/{len}", range.start, range.end - 1);
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// A quoted entity tag of `text`, which has no quotes.
pub(super) fn etag(text: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// What a request wants of a representation with this tag and length.
pub(super) fn part(request: &HeaderMap, etag: &HeaderValue, len: u64) -> Result<Part, Refusal> {
    precondition(request, &[etag])?;
    if has(request, etag) {
        return Ok(Part::None);
    }
    let Some(range) = request.get(RANGE) else { return Ok(Part::All) };
    if request.get(IF_RANGE).is_some_and(|condition| condition != etag) {
        return Ok(Part::All);
    }
    match range.to_str().ok().and_then(|text| parse(text, len)) {
        None => Ok(Part::All),
        Some(Some(range)) => Ok(Part::Some(range)),
        Some(None) => {
            let text = format!("bytes */{len}");
            let whole = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"));
            Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("there are {len} bytes, numbered from 0"))
                .with(CONTENT_RANGE, whole))
        }
    }
}

/// Whether the client has what bears this tag.
pub(super) fn has(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request.contains_key(IF_NONE_MATCH) && lists(request, &IF_NONE_MATCH, etag, true)
}

/// Refuses a request whose `If-Match` lists none of `etags`.
pub(super) fn precondition(request: &HeaderMap, etags: &[&HeaderValue]) -> Result<(), Refusal> {
    if !request.contains_key(IF_MATCH) || etags.iter().any(|etag| lists(request, &IF_MATCH, etag, false)) {
        return Ok(());
    }
    let detail = "what is there is not what `If-Match` names: ask for it again, and decide again";
    Err(Refusal::new(StatusCode::PRECONDITION_FAILED, detail))
}

/// Whether a list of entity tags names `etag`; a weak one counts if `weak`.
fn lists(request: &HeaderMap, name: &HeaderName, etag: &HeaderValue, weak: bool) -> bool {
    let lines = request.get_all(name).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim).any(|tag| {
        let strong = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag == "*" || strong.as_bytes() == etag.as_bytes()
    })
}

/// Reads a single range: none if it is no such thing, which is ignored; `Some(None)` if nothing lies in it.
fn parse(text: &str, len: u64) -> Option<Option<Range<u64>>> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        // A number that is too large for us lies behind every end.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0 && len > 0).then(|| len - suffix.min(len)..len));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some((first < len).then(|| first..len.min(last.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_single_and_within() {
        assert_eq!(parse("bytes=0-0", 10), Some(Some(0..1)));
        assert_eq!(parse("bytes=3-", 10), Some(Some(3..10)));
        assert_eq!(parse("bytes=-3", 10), Some(Some(7..10)));
        assert_eq!(parse("bytes=-30", 10), Some(Some(0..10)));
        assert_eq!(parse("bytes=3-99999999999999999999999", 10), Some(Some(3..10)));
        for beyond in ["bytes=10-", "bytes=99999999999999999999999-", "bytes=-0"] {
            assert_eq!(parse(beyond, 10), Some(None), "{beyond}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(None));
        for ignored in ["bytes=5-3", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes", "bytes=-", "bytes=+1-2"] {
            assert_eq!(parse(ignored, 10), None, "{ignored}");
        }
    }

    #[test]
    fn conditions_come_before_ranges() {
        let tag = etag("abc");
        let ask = |headers: &[(HeaderName, &str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            part(&headers, &tag, 10).map_err(|refusal| refusal.status().as_u16())
        };
        assert_eq!(ask(&[]), Ok(Part::All));
        assert_eq!(ask(&[(IF_NONE_MATCH, "\"x\", W/\"abc\""), (RANGE, "bytes=0-1")]), Ok(Part::None));
        assert_eq!(ask(&[(IF_NONE_MATCH, "*")]), Ok(Part::None));
        assert_eq!(ask(&[(IF_MATCH, "\"abc\""), (RANGE, "bytes=0-1")]), Ok(Part::Some(0..2)));
        assert_eq!(ask(&[(IF_MATCH, "W/\"abc\"")]), Err(412));
        assert_eq!(ask(&[(IF_RANGE, "\"abc\""), (RANGE, "bytes=0-1")]), Ok(Part::Some(0..2)));
        assert_eq!(ask(&[(IF_RANGE, "\"old\""), (RANGE, "bytes=0-1")]), Ok(Part::All));
        assert_eq!(ask(&[(RANGE, "bytes=10-")]), Err(416));
    }
}
