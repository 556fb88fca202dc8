//! Content negotiation (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Refusal;

/// The place in `offers` of the media type that the client likes best; the first where it has no opinion.
///
/// # Errors
/// A refusal with status 406 when it likes none.
pub(super) fn choose(headers: &HeaderMap, offers: &[&str]) -> Result<usize, Refusal> {
    let mut lines = headers.get_all(header::ACCEPT).iter();
    match (lines.next(), lines.next()) {
        (None, _) => return Ok(0),
        (Some(any), None) if any == "*/*" => return Ok(0),
        _ => {}
    }
    let ranges: Vec<Range<'_>> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(Range::parse)
        .collect();
    if ranges.is_empty() {
        return Ok(0);
    }
    let liked = offers.iter().enumerate().map(|(at, offer)| (at, quality(&ranges, offer))).filter(|(_, q)| *q > 0);
    // Of equals the first.
    let best = liked.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(at, _)| at).ok_or_else(|| {
        let detail = format!("`Accept` excludes what there is: {}", offers.join(", "));
        Refusal::new(StatusCode::NOT_ACCEPTABLE, detail)
    })
}

/// One media range, `q` in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    q: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let q = match q {
            None => 1000,
            Some(q) => (q.parse::<f32>().ok()?.clamp(0.0, 1.0) * 1000.0) as u16,
        };
        Some(Self { kind, subtype, q })
    }

    /// How closely it names `offer`; none if not at all.
    fn names(&self, offer: &str) -> Option<u8> {
        let (kind, subtype) = offer.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (this, "*") if this.eq_ignore_ascii_case(kind) => Some(1),
            (this, that) if this.eq_ignore_ascii_case(kind) && that.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

fn quality(ranges: &[Range<'_>], offer: &str) -> u16 {
    let named = ranges.iter().filter_map(|range| Some((range.names(offer)?, range.q)));
    named.max_by_key(|(closeness, _)| *closeness).map_or(0, |(_, q)| q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_liked_offer_is_chosen() {
        let offers = ["application/json", "application/vnd.gmcf"];
        let choose = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            choose(&headers, &offers).map_err(|refusal| refusal.status().as_u16())
        };
        assert_eq!(super::choose(&HeaderMap::new(), &offers).unwrap(), 0);
        assert_eq!(choose("*/*"), Ok(0));
        assert_eq!(choose("application/*"), Ok(0));
        assert_eq!(choose("application/vnd.gmcf"), Ok(1));
        assert_eq!(choose("application/json;q=0.5, application/vnd.gmcf"), Ok(1));
        assert_eq!(choose("application/json;q=0, */*"), Ok(1));
        assert_eq!(choose("text/html, image/*"), Err(406));
        assert_eq!(choose("application/json;q=0"), Err(406));
        assert_eq!(choose("nonsense"), Ok(0));
    }
}
