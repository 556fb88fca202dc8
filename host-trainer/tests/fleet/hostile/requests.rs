//! Requests that are answered at once.

use host_trainer::codec::{Format, Options, Profile, compress};
use host_trainer::store::{Grant, Right, Token};
use host_trainer::tree::Digest;

use super::{Attack, MAX_BODY, Victim, request, send};

/// A list that attacks are put on.
struct List<'a> {
    attacks: Vec<Attack>,
    bearer: &'a str,
}

impl List<'_> {
    fn raw(&mut self, what: impl Into<String>, bytes: Vec<u8>, allowed: &'static [u16]) {
        self.attacks.push(Attack { what: what.into(), bytes, allowed });
    }

    /// With a token that may do everything.
    fn add(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8], allowed: &'static [u16]) {
        let headers = [&[("authorization", self.bearer)], headers].concat();
        let short: String = target.chars().take(100).collect();
        let what = format!("{method} {short} {:?}", headers[1..].iter().map(|(name, _)| name).collect::<Vec<_>>());
        self.raw(what, request(method, target, &headers, body), allowed);
    }
}

/// All but those about tokens.
pub fn all(publisher: &str, scoped: &str, reader: &str) -> Vec<Attack> {
    let bearer = format!("Bearer {publisher}");
    let mut list = List { attacks: Vec::new(), bearer: &bearer };
    paths(&mut list);
    bodies(&mut list);
    records(&mut list);
    forms(&mut list);
    queries(&mut list);
    heads(&mut list);
    for (token, target) in [(scoped, "/names/other/versions/9"), (reader, "/names/fw/versions/9")] {
        let bearer = format!("Bearer {token}");
        list.raw(target, request("PUT", target, &[("authorization", &bearer)], b"x"), &[403]);
    }
    list.attacks
}

/// Names and digests that would lead elsewhere.
fn paths(list: &mut List<'_>) {
    let names = [
        "..",
        ".",
        "%2e%2e",
        "%2E%2e",
        "%252e%252e",
        "..%2f..%2fetc",
        "%2e%2e%2f%2e%2e%2ftokens",
        "..%5c..%5cx",
        "..%252f..%252fx",
        "%c0%ae%c0%ae%c0%af",
        "%00",
        "fw%00",
        "fw%00.json",
        "fw%0a",
        "fw%0d%0ax-injected:%201",
        "%ff",
        "fw%2f..%2fother",
        "%20",
        ".hidden",
        "-fw",
        "fw%1b[31m",
        "fw;x=1",
        "fw%3a",
        "%e2%80%ae",
        "con%3a",
        "fw~",
        "*",
    ];
    let long = "a".repeat(65);
    for name in names.into_iter().chain([long.as_str()]) {
        list.add("PUT", &format!("/names/{name}/versions/9"), &[], b"x", &[400, 404]);
        list.add("PUT", &format!("/names/fw/versions/{name}"), &[], b"x", &[400, 404]);
        list.add("GET", &format!("/names/{name}/latest"), &[], b"", &[400, 404]);
        list.add("GET", &format!("/names/fw/versions/{name}/content"), &[], b"", &[400, 404]);
        list.add("POST", &format!("/names/{name}/rollback"), &[JSON], br#"{"version": "1"}"#, &[400, 404]);
        list.add("GET", &format!("/delta/between?name={name}&to=1"), &[], b"", &[400]);
        list.add("GET", &format!("/delta/between?name=fw&from={name}"), &[], b"", &[400]);
        list.add("GET", &format!("/base/{name}"), &[], b"", &[400, 404]);
    }
    let digest = Digest::of(b"x").to_string();
    let digests = [
        "..",
        "..%2ftokens",
        "%2e%2e%2ftokens",
        "%252e%252e%252ftokens",
        "",
        "x",
        "%00",
        &digest[1..],
        &digest.to_uppercase(),
        &format!("{digest}%00"),
        &format!("{digest}0"),
        &format!("{digest}%2f..%2f..%2ftokens"),
        &format!("%0a{digest}"),
    ];
    for digest in digests {
        list.add("GET", &format!("/contents/{digest}"), &[], b"", &[400, 404]);
        list.add("PUT", &format!("/contents/{digest}"), &[], b"x", &[400, 404, 405]);
        list.add("PUT", &format!("/trees/{digest}"), &[], b"x", &[400, 404, 405]);
        list.add("GET", &format!("/trees/{digest}/patch?from={digest}"), &[], b"", &[400, 404]);
    }
    for target in
        ["/names/../tokens", "/contents/../../etc/passwd", "//", "/names//versions/1", "/names/fw/versions/1/"]
    {
        list.add("GET", target, &[], b"", &[400, 404]);
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Bodies that are too long, too short, or not what they seem.
fn bodies(list: &mut List<'_>) {
    let (put, over) = ("/names/fw/versions/9", (MAX_BODY + 1).to_string());
    let x = Digest::of(b"x").to_string();
    for target in [put, &format!("/contents/{x}")] {
        for length in [over.as_str(), "9223372036854775808"] {
            list.add("PUT", target, &[("content-length", length)], b"", &[413]);
        }
        // hyper keeps that number for itself.
        list.add("PUT", target, &[("content-length", "18446744073709551615")], b"", &[431]);
        for length in ["18446744073709551616", "-1", "+1", "0x10", "1,2", "", " ", "1 1"] {
            list.add("PUT", target, &[("content-length", length)], b"x", &[400]);
        }
        list.add("PUT", target, &[("content-length", "1"), ("content-length", "2")], b"xx", &[400]);
        list.add("PUT", target, &[("content-length", "1"), CHUNKED], b"zz\r\n", &[400]);
        let whole = format!("{:x}\r\n{}\r\n0\r\n\r\n", MAX_BODY + 1, "x".repeat(MAX_BODY + 1));
        list.add("PUT", target, &[CHUNKED], whole.as_bytes(), &[413]);
        let many = format!("3e8\r\n{}\r\n", "x".repeat(1000)).repeat(200);
        list.add("PUT", target, &[CHUNKED], many.as_bytes(), &[413]);
        for wrong in
            ["zz\r\n", "-1\r\nx\r\n", "fffffffffffffffff\r\nx", "1\r\nxyz\r\n0\r\n\r\n", "1;\0\r\nx\r\n0\r\n\r\n\0"]
        {
            // What a chunk says of itself beside its length is read over.
            list.add(
                "PUT",
                target,
                &[CHUNKED],
                wrong.as_bytes(),
                if wrong.contains(';') { &[201, 400, 409, 422] } else { &[400] },
            );
        }
        list.add("PUT", target, &[("transfer-encoding", "gzip")], b"x", &[400, 501]);
        list.add("PUT", target, &[("transfer-encoding", "chunked, gzip")], b"x", &[400, 501]);
        for coding in ["gzip", "br", "identity, gzip"] {
            list.add("PUT", target, &[("content-encoding", coding)], b"x", &[415]);
        }
        for kind in ["application/json", "text/html", "multipart/form-data; boundary=x", "x", "/", "\"", "\u{ff}"] {
            list.add("PUT", target, &[("content-type", kind)], b"x", &[400, 415]);
        }
        list.add("PUT", target, &[], b"", &[411]);
    }
    list.attacks.retain(|attack| !attack.allowed.contains(&201));
    list.add("PUT", &format!("/contents/{x}"), &[], b"y", &[422]);
    list.add("PUT", &format!("/trees/{x}"), &[], b"garbage", &[422]);
    list.add("PUT", "/names/fw/versions/1", &[], b"another content", &[409]);
    list.add("PUT", "/names/fw/versions/1", &[], "fw 1".repeat(100).as_bytes(), &[409]);
    list.add("PUT", put, &[("if-match", "\"other\"")], b"x", &[412]);
}

const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

/// Records in JSON.
fn records(list: &mut List<'_>) {
    let digest = Digest::of(b"missing").to_string();
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let deeper = "{\"version\":".repeat(10_000).into_bytes();
    let large = vec![b' '; (8 << 20) + 1];
    for target in ["/names/fw/versions", "/names/fw/rollback", "/contents/missing", "/delta/batch", "/delta/compress"] {
        for wrong in [&b""[..], b"{", b"\0", b"\xff\xfe", b"{\"version\": \"\xff\"}", b"nul", &deep, &deeper] {
            list.add("POST", target, &[JSON, ("content-length", &wrong.len().to_string())], wrong, &[400, 422]);
        }
        for wrong in ["null", "[]", "0", "\"x\"", "{}", "{\"version\": 1}", "{\"digests\": \"x\"}", "{\"deltas\": {}}"]
        {
            list.add("POST", target, &[JSON], wrong.as_bytes(), &[422]);
        }
        list.add("POST", target, &[JSON], &large, &[413]);
        for kind in ["text/plain", "application/jsonx", ""] {
            list.add("POST", target, &[("content-type", kind)], b"{}", &[415]);
        }
    }
    let record = |version: &str, kind: &str, digest: &str| {
        serde_json::json!({ "version": version, "kind": kind, "digest": digest }).to_string()
    };
    for (version, kind, of) in [
        ("9", "file", digest.as_str()),
        ("9", "tree", &digest),
        ("9", "file", "../tokens"),
        ("9", "file", ""),
        ("../9", "file", &digest),
        ("", "file", &digest),
        ("\0", "file", &digest),
        ("9\n", "file", &digest),
        ("9", "link", &digest),
        ("9", "", &digest),
    ] {
        list.add("POST", "/names/fw/versions", &[JSON], record(version, kind, of).as_bytes(), &[422]);
    }
    let there = Digest::of("fw 1".repeat(100).as_bytes()).to_string();
    list.add("POST", "/names/fw/versions", &[JSON], record("1", "file", &there).as_bytes(), &[409]);
    list.add("POST", "/names/fw/versions", &[JSON], record("2", "file", &there).as_bytes(), &[409]);
    list.add("POST", "/names/fw/rollback", &[JSON], br#"{"version": "9"}"#, &[409]);
    list.add("POST", "/names/none/rollback", &[JSON], br#"{"version": "1"}"#, &[404, 409]);
    let digests = vec![digest.as_str(); (1 << 16) + 1];
    let digests = serde_json::json!({ "digests": digests }).to_string();
    list.add("POST", "/contents/missing", &[JSON], digests.as_bytes(), &[422]);
    let deltas = vec![serde_json::json!({ "name": "fw" }); 1025];
    list.add("POST", "/delta/batch", &[JSON], serde_json::json!({ "deltas": deltas }).to_string().as_bytes(), &[422]);
    let batch = serde_json::json!({ "deltas": [], "profile": "huge" }).to_string();
    list.add("POST", "/delta/batch", &[JSON], batch.as_bytes(), &[422]);
}

/// Forms, and what is compressed and applied.
fn forms(list: &mut List<'_>) {
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n");
    let new = "content-disposition: form-data; name=\"new\"";
    let old = "content-disposition: form-data; name=\"old\"";
    let with = |kind: &'static str| ("content-type", kind);
    let form = "multipart/form-data; boundary=b";
    let forms = [
        ("multipart/form-data", part(new, "x") + "--b--\r\n"),
        ("multipart/form-data; boundary=", part(new, "x") + "--b--\r\n"),
        ("multipart/form-data; boundary=other", part(new, "x") + "--b--\r\n"),
        (form, String::from("no part")),
        (form, String::from("--b--\r\n")),
        (form, part(new, "x")),
        (form, part(new, "x") + "--b"),
        (form, part(old, "x") + "--b--\r\n"),
        (form, part(new, "x") + &part(new, "y") + "--b--\r\n"),
        (form, part("content-disposition: form-data; name=\"other\"", "x") + "--b--\r\n"),
        (form, part("content-disposition: form-data", "x") + "--b--\r\n"),
        (form, part("x: y", "x") + "--b--\r\n"),
        (form, part(&format!("{new}\r\nx: {}", "y".repeat(400_000)), "x") + "--b--\r\n"),
        (form, part(new, "x") + &part("content-disposition: form-data; name=\"x\"", "").repeat(5000) + "--b--\r\n"),
        (
            form,
            part(new, "x") + &part("content-disposition: form-data; name=\"profile\"", &"x".repeat(5000)) + "--b--\r\n",
        ),
        (form, part(new, "x") + &part("content-disposition: form-data; name=\"profile\"", "huge") + "--b--\r\n"),
        (form, part(new, "x") + &part("content-disposition: form-data; name=\"base\"", "maybe") + "--b--\r\n"),
        (form, part(new, &"x".repeat(MAX_BODY + 1)) + "--b--\r\n"),
        (form, part(new, "x") + &part(old, &"x".repeat(300_000)) + "--b--\r\n"),
    ];
    for (at, (kind, body)) in forms.iter().enumerate() {
        let headers = [("authorization", list.bearer), with(kind)];
        let bytes = request("POST", "/delta/compress", &headers, body.as_bytes());
        list.raw(format!("form {at}"), bytes, &[400, 413, 415, 422]);
        let body = body.replace("\"new\"", "\"delta\"");
        let bytes = request("POST", "/delta/apply", &headers, body.as_bytes());
        list.raw(format!("form {at} to apply"), bytes, &[400, 413, 415, 422]);
    }
    let octets = with("application/octet-stream");
    let options = Options { profile: Profile::Small, format: Format::V2, base: None, progress: None };
    let bomb = compress(&vec![0; 1 << 20], None, &options).unwrap().bytes;
    list.add("POST", "/delta/apply", &[octets], &bomb, &[413, 422]);
    for cut in 0..bomb.len().min(40) {
        list.add("POST", "/delta/apply", &[octets, ("content-length", &cut.to_string())], &bomb[..cut], &[400, 422]);
    }
    for at in 0..bomb.len().min(24) {
        let mut changed = bomb.clone();
        changed[at] ^= 0xff;
        list.add("POST", "/delta/apply", &[octets], &changed, &[400, 413, 422]);
    }
    list.add("POST", "/delta/compress", &[octets], &vec![b'x'; MAX_BODY + 1], &[413]);
    list.add("POST", "/delta/compress?name=none&from=1", &[octets], b"x", &[404]);
    list.add("POST", "/delta/compress?profile=huge", &[octets], b"x", &[400]);
    list.add("POST", "/delta/compress?profile=tiny&base=true", &[octets], b"x", &[400]);
}

/// Queries.
fn queries(list: &mut List<'_>) {
    let many: String = (0..5000).map(|number| format!("&x{number}=1")).collect();
    let same = "&name=fw".repeat(5000);
    let targets = [
        "/names?x=1",
        "/names/fw/latest?version=1",
        "/healthz?x",
        "/delta/between",
        "/delta/between?",
        "/delta/between?name=",
        "/delta/between?name=fw&name=fw",
        "/delta/between?name=fw&to=1&to=2",
        "/delta/between?name=fw&other=1",
        "/delta/between?name=fw&profile=huge",
        "/delta/between?name=fw&profile=",
        "/delta/between?name=fw&base=maybe",
        "/delta/between?name=fw&update=-1",
        "/delta/between?name=fw&update=4294967296",
        "/delta/between?name=fw&update=x",
        "/delta/between?name=fw%00",
        "/delta/between?name[]=fw",
        "/delta/between?name=fw&profile=tiny&base=true",
        "/names?token=x",
    ];
    for target in targets {
        list.add("GET", target, &[], b"", &[400]);
    }
    for target in
        [format!("/names?{many}"), format!("/delta/between?name=fw{many}"), format!("/delta/between?name=fw{same}")]
    {
        list.add("GET", &target, &[], b"", &[400, 414, 431]);
    }
    list.add("GET", "/delta/between?name=fw&to=9", &[], b"", &[404]);
    list.add("GET", "/delta/between?name=none", &[], b"", &[404]);
    let a = Digest::of(b"a");
    list.add("GET", &format!("/trees/{a}/patch?from={a}"), &[], b"", &[404, 501]);
    list.add("GET", &format!("/trees/{a}/patch"), &[], b"", &[400]);
}

/// Heads of requests.
fn heads(list: &mut List<'_>) {
    // Somewhat more than the limit is taken where it comes in one piece.
    let long = "x".repeat(200_000);
    list.add("GET", "/names", &[("x-long", &long)], b"", &[431]);
    list.add("GET", &format!("/{long}"), &[], b"", &[414, 431]);
    list.add("GET", "/names", &[("authorization", &long)], b"", &[431]);
    let many: Vec<(String, String)> = (0..500).map(|number| (format!("x-{number}"), "1".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    list.add("GET", "/names", &many, b"", &[431]);
    for (name, value) in [("x", "a\0b"), ("x", "a\rb"), ("x y", "1"), ("", "1"), ("x\0", "1"), ("x\u{1b}", "1")] {
        list.add("GET", "/names", &[(name, value)], b"", &[400]);
    }
    for range in ["bytes=400-", "bytes=99999999999999999999-", "bytes=-0"] {
        list.add("GET", "/names/fw/versions/1/content", &[("range", range)], b"", &[416]);
    }
    for accept in ["text/html", "application/json;q=0", "image/*"] {
        list.add("GET", "/names", &[("accept", accept)], b"", &[406]);
    }
    for (method, target) in [("DELETE", "/names/fw/versions/1"), ("PATCH", "/names/fw/versions"), ("POST", "/names")] {
        list.add(method, target, &[], b"", &[405]);
    }
    list.add("BREW", "/names", &[], b"", &[400, 405]);
    list.add("TRACE", "/names", &[], b"", &[400, 405]);
    list.add("CONNECT", "gmcf.test:443", &[], b"", &[400, 404, 405]);
    list.add("OPTIONS", "*", &[], b"", &[400, 404, 405]);
    list.add("GET", "names", &[], b"", &[400, 404]);
    let raw: [&[u8]; 12] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET / HTTP/1.1 x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GE\0T / HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: 1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\xff\xff\xff\xff\r\n\r\n",
    ];
    for bytes in raw {
        list.raw(String::from_utf8_lossy(bytes).escape_debug().to_string(), bytes.to_vec(), &[400, 505, 0]);
    }
}

/// Tokens that are none, or not for this.
pub async fn tokens(victim: &Victim) -> Vec<Attack> {
    let store = victim.backend.store();
    let grant =
        |expires_at| Grant { label: String::new(), right: Right::Publish, names: vec![], created_at: 0, expires_at };
    let [expired, revoked, forged] = [(); 3].map(|()| Token::generate().unwrap());
    store.put_grant(&expired, &grant(Some(1))).await.unwrap();
    store.put_grant(&revoked, &grant(None)).await.unwrap();
    store.revoke(&revoked).await.unwrap();
    let good = &victim.publisher;
    let long = format!("Bearer {}", "g".repeat(50_000));
    let unknown = [
        format!("Bearer {expired}"),
        format!("Bearer {revoked}"),
        format!("Bearer {forged}"),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {good}0"),
        format!("Bearer {}", &good[..good.len() - 1]),
        format!("Bearer {}", good.to_uppercase()),
        format!("Bearer {good} {good}"),
        format!("Bearer ../../{good}"),
        format!("Bearer {}", Digest::of(good.as_bytes())),
        "Bearer \u{ff}".into(),
        long,
    ];
    let mut list = List { attacks: Vec::new(), bearer: "" };
    let digest = Digest::of("fw 1".repeat(100).as_bytes());
    let content = format!("/contents/{digest}");
    let reads = [
        "/names",
        "/names/fw/latest",
        "/names/fw/versions",
        "/names/fw/versions/1",
        "/names/fw/versions/1/content",
        &content,
        "/delta/between?name=fw",
        "/delta/status",
        "/metrics",
        "/base/small",
    ];
    for target in reads {
        list.raw(format!("{target} without a token"), request("GET", target, &[], b""), &[401]);
        for said in &unknown {
            list.raw(format!("{target} {said:.60}"), request("GET", target, &[("authorization", said)], b""), &[401]);
        }
    }
    for (method, target) in [
        ("PUT", "/names/fw/versions/9"),
        ("PUT", &content),
        ("POST", "/names/fw/versions"),
        ("POST", "/names/fw/rollback"),
    ] {
        for said in unknown.iter().map(String::as_str).chain([""]) {
            let headers = [("authorization", said), ("content-type", "application/octet-stream")];
            list.raw(format!("{method} {target} {said:.60}"), request(method, target, &headers, b"x"), &[401]);
        }
        let said = format!("Bearer {}", victim.reader);
        list.raw(
            format!("{method} {target} by a reader"),
            request(method, target, &[("authorization", &said)], b"x"),
            &[403],
        );
    }
    for token in [&victim.reader, &victim.scoped] {
        let said = format!("Bearer {token}");
        for target in [
            "/names/other/latest",
            "/names/other/versions",
            "/names/other/versions/1/content",
            "/delta/between?name=other",
        ] {
            list.raw(
                format!("{target} with a token for fw"),
                request("GET", target, &[("authorization", &said)], b""),
                &[403],
            );
        }
        let target = "/names/other/versions/9";
        list.raw(
            format!("PUT {target} with a token for fw"),
            request("PUT", target, &[("authorization", &said)], b"x"),
            &[403],
        );
        let headers = [("authorization", said.as_str()), JSON];
        let bytes = request("POST", "/delta/compress", &headers, br#"{"name": "other"}"#);
        list.raw("compress with a token for fw", bytes, &[403]);
        // Each part of a batch is refused by itself.
        let bytes = request("POST", "/delta/batch", &headers, br#"{"deltas": [{"name": "other"}]}"#);
        let answer = send(&victim.server.address, &bytes).await;
        let body = String::from_utf8_lossy(&answer.body).to_string();
        assert!(answer.status == 200 && body.contains("\"status\":403"), "{body}");
    }
    list.attacks
}

/// Ranges that lie over each other make no long answer.
pub async fn many_ranges_are_no_more_than_the_content(victim: &Victim) {
    let range = format!("bytes={}", vec!["0-"; 1000].join(","));
    let bytes = request("GET", "/names/fw/versions/1/content", &[("range", &range)], b"");
    let answer = send(&victim.server.address, &bytes).await;
    assert!(answer.status == 200 && answer.body.len() == 400, "{} {}", answer.status, answer.body.len());
}
