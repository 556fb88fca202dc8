//! The content server as its clients meet it: over HTTP, on a port that was free.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use host_trainer::codec;
use host_trainer::files::Scratch;
use host_trainer::history::{Brief, Kind, Name, Signed, Statement};
use host_trainer::release;
use host_trainer::release::keys::SecretKey;
use host_trainer::report::format::hex;
use host_trainer::report::transfer::TransferRecord;
use host_trainer::server::{Server, Settings};
use host_trainer::store::{Grant, Right, Store, Token};
use host_trainer::tree::{Digest, Entry, Node, Tree, TreePath};
use host_trainer::wire::{
    BRIEF, ContentsRecord, NamesRecord, PROBLEM, Problem, STATEMENT, StatusRecord, TreeRecord, VersionRecord,
    VersionsRecord,
};
use reqwest::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, LOCATION,
    RANGE, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// A server, a client, and tokens.
struct Fleet {
    _folder: Scratch,
    store: Store,
    url: String,
    client: Client,
    publisher: String,
    reader: String,
    stop: Option<oneshot::Sender<()>>,
    running: tokio::task::JoinHandle<()>,
}

impl Fleet {
    async fn start(settings: Settings) -> Self {
        // Another test of this process may have chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Scratch::new("server-test").unwrap();
        let store = Store::open(folder.join("store").to_str().unwrap()).unwrap();
        let mut tokens = Vec::new();
        for (right, names) in [(Right::Publish, vec![]), (Right::Read, vec!["fw".parse().unwrap()])] {
            let token = Token::generate().unwrap();
            let grant = Grant { label: "test".into(), right, names, created_at: 0, expires_at: None };
            store.put_grant(&token, &grant).await.unwrap();
            tokens.push(token.to_string());
        }
        let server = Server::bind(store.clone(), settings, "127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.run(stopped).await.unwrap();
        });
        let [publisher, reader] = <[String; 2]>::try_from(tokens).unwrap();
        Self { _folder: folder, store, url, client: Client::new(), publisher, reader, stop: Some(stop), running }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    /// Publishes a content.
    async fn put(&self, name: &str, version: &str, content: &[u8]) -> Response {
        let put = self.ask(Method::PUT, &format!("/names/{name}/versions/{version}"));
        put.bearer_auth(&self.publisher).body(content.to_vec()).send().await.unwrap()
    }

    /// Posts a record.
    async fn post(&self, path: &str, record: &str) -> Response {
        let post = self.ask(Method::POST, path).bearer_auth(&self.publisher).header(CONTENT_TYPE, "application/json");
        post.body(record.to_string()).send().await.unwrap()
    }

    async fn end(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.running.await.unwrap();
    }
}

fn header(response: &Response, name: impl reqwest::header::AsHeaderName) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_string()).unwrap_or_default()
}

/// Checks that a response is this problem, and tells what it says.
async fn problem(response: Response, status: u16, kind: &str) -> String {
    assert_eq!(response.status(), status, "{}", response.url());
    assert_eq!(header(&response, CONTENT_TYPE), PROBLEM);
    assert!(!header(&response, "x-request-id").is_empty());
    let problem: Problem = response.json().await.unwrap();
    assert_eq!((problem.status, problem.kind.as_str()), (status, kind), "{}", problem.detail);
    problem.detail
}

fn bundled(version: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/dev/fw-greatfet-stub").join(version);
    std::fs::read(path).unwrap()
}

fn images() -> [Vec<u8>; 2] {
    [bundled("2021.2.1.bin"), bundled("2024.0.0.bin")]
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_published_listed_and_fetched() {
    let fleet = Fleet::start(Settings::default()).await;
    let [old, new] = images();
    let response = fleet.put("fw", "1.0", &old).await;
    assert_eq!((response.status().as_u16(), header(&response, LOCATION).as_str()), (201, "/names/fw/versions/1.0"));
    let said = header(&response, "gmcf-statement");
    let record: VersionRecord = response.json().await.unwrap();
    assert_eq!((record.sequence, record.digest, record.len), (1, Digest::of(&old), old.len() as u64));
    assert!(!record.signed);

    // The same again is no conflict, another content is.
    assert_eq!(fleet.put("fw", "1.0", &old).await.status(), 200);
    problem(fleet.put("fw", "1.0", &new).await, 409, "/problems/version-exists").await;
    assert!(fleet.store.content_len(&Digest::of(&new)).await.unwrap().is_none(), "what is refused is not kept");
    assert_eq!(fleet.put("fw", "1.1", &new).await.status(), 201);

    let names: NamesRecord = fleet.get("/names").await.json().await.unwrap();
    assert_eq!((names.names[0].name.as_str(), names.names[0].versions), ("fw", 2));
    let versions: VersionsRecord = fleet.get("/names/fw/versions").await.json().await.unwrap();
    assert_eq!(versions.versions.len(), 2);
    assert_eq!(versions.latest.version.as_str(), "1.1");

    // The statement, as it was said when it was published, and as JSON.
    let bytes = fleet.ask(Method::GET, "/names/fw/versions/1.0").header(ACCEPT, STATEMENT).send().await.unwrap();
    assert_eq!(header(&bytes, CONTENT_TYPE), STATEMENT);
    // Nothing makes up for a digest that an unsigned one leaves out.
    let brief = |accept: String| fleet.ask(Method::GET, "/names/fw/versions/1.0").header(ACCEPT, accept).send();
    problem(brief(BRIEF.into()).await.unwrap(), 406, "about:blank").await;
    let either = brief(format!("{BRIEF}, {STATEMENT};q=0.5")).await.unwrap();
    assert_eq!(header(&either, CONTENT_TYPE), STATEMENT);
    let bytes = bytes.bytes().await.unwrap();
    assert_eq!(hex(&bytes), said);
    let latest = fleet.get("/names/fw/latest").await;
    let tag = header(&latest, ETAG);
    let signed: Signed = latest.json().await.unwrap();
    assert_eq!(signed.statement.version.as_str(), "1.1");
    let again = fleet.ask(Method::GET, "/names/fw/latest").header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!(again.status(), 304);

    // The content: whole, from where a download broke off, and not again.
    let content = "/names/fw/versions/1.1/content";
    let whole = fleet.get(content).await;
    assert!(header(&whole, CACHE_CONTROL).contains("immutable"));
    let tag = header(&whole, ETAG);
    assert_eq!(tag, format!("\"{}\"", Digest::of(&new)));
    assert_eq!(whole.bytes().await.unwrap(), new);
    let rest = fleet.ask(Method::GET, content).header(RANGE, "bytes=1000-").header(IF_RANGE, &tag);
    let rest = rest.send().await.unwrap();
    assert_eq!(rest.status(), 206);
    assert_eq!(header(&rest, CONTENT_RANGE), format!("bytes 1000-{}/{}", new.len() - 1, new.len()));
    assert_eq!(rest.bytes().await.unwrap(), new[1000..]);
    let beyond = fleet.ask(Method::GET, content).header(RANGE, "bytes=9999999-").send().await.unwrap();
    assert_eq!(header(&beyond, CONTENT_RANGE), format!("bytes */{}", new.len()));
    problem(beyond, 416, "about:blank").await;
    let head = fleet.ask(Method::HEAD, content).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), new.len().to_string());
    problem(fleet.get("/names/fw/versions/1.1/manifest").await, 404, "/problems/other-kind").await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_leads_from_one_version_to_another() {
    let fleet = Fleet::start(Settings::default()).await;
    let [old, new] = images();
    fleet.put("fw", "1.0", &old).await;
    fleet.put("fw", "1.1", &new).await;
    let path = "/delta/between?name=fw&from=1.0&to=1.1";
    let response = fleet.get(path).await;
    assert_eq!(header(&response, CONTENT_TYPE), "application/vnd.gmcf");
    assert_eq!(header(&response, "gmcf-version"), "1.1");
    assert!(header(&response, CACHE_CONTROL).contains("immutable"));
    let tag = header(&response, ETAG);
    let delta = response.bytes().await.unwrap();
    assert!(delta.len() < 1000, "{} bytes", delta.len());
    assert_eq!(codec::apply(&[&delta], Some(&old)).unwrap(), new);

    // It is kept, and can be had in parts.
    assert_eq!(fleet.store.deltas().await.unwrap().len(), 1);
    let again = fleet.ask(Method::GET, path).header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), header(&again, ETAG)), (304, tag.clone()));
    let part = fleet.ask(Method::GET, path).header(RANGE, "bytes=10-19").header(IF_RANGE, &tag).send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), delta[10..20]);
    let other = fleet.ask(Method::GET, path).header(RANGE, "bytes=10-19").header(IF_RANGE, "\"other\"");
    assert_eq!(other.send().await.unwrap().bytes().await.unwrap(), delta);
    let head = fleet.ask(Method::HEAD, path).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), delta.len().to_string());

    // To the version that counts: that may change.
    let latest = fleet.get("/delta/between?name=fw&from=1.0").await;
    assert_eq!(
        (header(&latest, "gmcf-version").as_str(), header(&latest, CACHE_CONTROL).as_str()),
        ("1.1", "no-cache")
    );
    // From nothing, for a device with a base model.
    let whole = fleet.get("/delta/between?name=fw&to=1.0&profile=medium&base=true").await.bytes().await.unwrap();
    assert_eq!(codec::apply(&[&whole], None).unwrap(), old);

    for (wrong, status) in [
        ("name=fw&from=9", 404),
        ("name=none", 404),
        ("from=1.0", 400),
        ("name=fw&profile=big", 400),
        ("name=fw&profile=tiny&base=true", 400),
        ("name=fw&name=fw", 400),
        ("name=..%2F..%2Fetc", 400),
        ("name=fw&what=1", 400),
    ] {
        problem(fleet.get(&format!("/delta/between?{wrong}")).await, status, "about:blank").await;
    }
    let picky = fleet.ask(Method::GET, path).header(ACCEPT, "text/html").send().await.unwrap();
    problem(picky, 406, "about:blank").await;
    problem(fleet.get("/delta/between?name=fw&update=7").await, 501, "about:blank").await;

    let status: StatusRecord = fleet.get("/delta/status").await.json().await.unwrap();
    assert_eq!((status.names, status.versions), (1, 2));
    assert!(status.whole_bytes > status.sent_bytes && status.cache_hits > 0, "{status:?}");
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_ask_and_one_delta_is_made() {
    let fleet = Fleet::start(Settings::default()).await;
    let [old, new] = images();
    fleet.put("fw", "1.0", &old).await;
    fleet.put("fw", "1.1", &new).await;
    let asked = futures_util::future::join_all((0..16).map(|_| fleet.get("/delta/between?name=fw&from=1.0&to=1.1")));
    let deltas = futures_util::future::join_all(asked.await.into_iter().map(Response::bytes)).await;
    let deltas: Vec<Bytes> = deltas.into_iter().map(Result::unwrap).collect();
    assert!(deltas.iter().all(|delta| *delta == deltas[0]));
    let metrics = fleet.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("gmcf_delta_compute_seconds_count 1\n"), "{metrics}");
    assert!(metrics.contains("gmcf_http_requests_total{route=\"/delta/between\",method=\"GET\",status=\"200\"} 16"));
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_who_may_do_what() {
    let fleet = Fleet::start(Settings { private: true, ..Settings::default() }).await;
    let put = || fleet.ask(Method::PUT, "/names/fw/versions/1").body("content");
    let nobody = put().send().await.unwrap();
    assert!(header(&nobody, WWW_AUTHENTICATE).starts_with("Bearer"));
    problem(nobody, 401, "about:blank").await;
    problem(put().bearer_auth("gmcf_00").send().await.unwrap(), 401, "about:blank").await;
    let stranger = Token::generate().unwrap().to_string();
    problem(put().bearer_auth(stranger).send().await.unwrap(), 401, "about:blank").await;
    problem(put().bearer_auth(&fleet.reader).send().await.unwrap(), 403, "about:blank").await;
    assert!(fleet.store.names().await.unwrap().is_empty());
    for name in ["fw", "other"] {
        assert_eq!(fleet.put(name, "1", b"content").await.status(), 201);
    }
    // Reading needs a token here, for that name.
    let latest = |name: &str| fleet.ask(Method::GET, &format!("/names/{name}/latest"));
    problem(latest("fw").send().await.unwrap(), 401, "about:blank").await;
    assert_eq!(latest("fw").bearer_auth(&fleet.reader).send().await.unwrap().status(), 200);
    problem(latest("other").bearer_auth(&fleet.reader).send().await.unwrap(), 403, "about:blank").await;
    assert_eq!(fleet.get("/healthz").await.status(), 200);
    problem(fleet.get("/metrics").await, 401, "about:blank").await;
    let content = fleet.ask(Method::GET, "/names/fw/versions/1/content").bearer_auth(&fleet.reader).send().await;
    assert!(header(&content.unwrap(), CACHE_CONTROL).starts_with("private"));
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_a_new_statement() {
    let fleet = Fleet::start(Settings::default()).await;
    fleet.put("fw", "1", b"one").await;
    fleet.put("fw", "2", b"two").await;
    problem(fleet.put("fw", "1", b"one").await, 409, "/problems/old-version").await;
    problem(fleet.post("/names/fw/rollback", "{\"version\":\"3\"}").await, 409, "/problems/never-published").await;
    problem(fleet.post("/names/none/rollback", "{\"version\":\"3\"}").await, 404, "about:blank").await;
    // Only if what was seen still counts.
    let rollback = |tag: String| {
        let post = fleet.ask(Method::POST, "/names/fw/rollback").bearer_auth(&fleet.publisher);
        post.header(IF_MATCH, tag).header(CONTENT_TYPE, "application/json").body("{\"version\":\"1\"}").send()
    };
    problem(rollback("\"other\"".into()).await.unwrap(), 412, "about:blank").await;
    let tag = header(&fleet.get("/names/fw/latest").await, ETAG);
    let back: VersionRecord = rollback(tag).await.unwrap().json().await.unwrap();
    assert_eq!((back.sequence, back.rollback, back.version.as_str()), (3, true, "1"));
    let latest: Signed = fleet.get("/names/fw/latest").await.json().await.unwrap();
    assert_eq!(latest.statement.sequence, 3);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_signed_here_or_by_the_publisher() {
    let key = SecretKey::generate();
    let settings = Settings { key: Some((key.clone(), 0)), ..Settings::default() };
    let fleet = Fleet::start(settings).await;
    let [old, new] = images();
    let name: Name = "fw".parse().unwrap();
    let record: VersionRecord = fleet.put("fw", "1", &old).await.json().await.unwrap();
    assert!(record.signed);
    let latest: Signed = fleet.get("/names/fw/latest").await.json().await.unwrap();
    latest.check(&name, 1, Some(&key.public())).unwrap();
    // A brief one, for who likes that better: about this content and no other.
    let ask = || fleet.ask(Method::GET, "/names/fw/latest").header(ACCEPT, BRIEF);
    let answer = ask().send().await.unwrap();
    assert_eq!(header(&answer, CONTENT_TYPE), BRIEF);
    let etag = header(&answer, ETAG);
    let brief = Brief::parse(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(brief.complete(name.clone(), Digest::of(&old), old.len() as u64), latest);
    assert_eq!(ask().header(IF_NONE_MATCH, etag).send().await.unwrap().status(), 304);

    let put = |signed: &Signed| {
        let put = fleet.ask(Method::PUT, "/names/fw/versions/2").bearer_auth(&fleet.publisher);
        put.header("gmcf-statement", hex(&signed.emit())).body(new.clone()).send()
    };
    let statement = Statement {
        name: name.clone(),
        sequence: 2,
        version: "2".parse().unwrap(),
        kind: Kind::File,
        digest: Digest::of(&new),
        len: new.len() as u64,
        rollback: false,
        published_at: 1,
    };
    let stranger = Signed::new(statement.clone(), Some(&SecretKey::generate()));
    problem(put(&stranger).await.unwrap(), 403, "/problems/statement").await;
    let taken = Signed::new(Statement { sequence: 1, ..statement.clone() }, Some(&key));
    problem(put(&taken).await.unwrap(), 409, "/problems/sequence-taken").await;
    let other = Signed::new(Statement { len: 1, ..statement.clone() }, Some(&key));
    problem(put(&other).await.unwrap(), 422, "/problems/statement").await;
    let signed = Signed::new(statement, Some(&key));
    assert_eq!(put(&signed).await.unwrap().status(), 201);
    let latest: Signed = fleet.get("/names/fw/latest").await.json().await.unwrap();
    assert_eq!(latest, signed);

    // A signed update for devices, whose version is the number of the statement.
    let update = fleet.get("/delta/between?name=fw&from=1&to=2&update=7").await;
    assert_eq!(header(&update, CONTENT_TYPE), "application/vnd.gmcf.update");
    let update = update.bytes().await.unwrap();
    let manifest = release::manifest(&update).unwrap().unwrap();
    assert_eq!((manifest.product, manifest.version, manifest.image_len), (7, 2, new.len() as u32));
    let payload = &update[update.len() - manifest.payload_len as usize..];
    assert_eq!(codec::apply(&[payload], Some(&old)).unwrap(), new);
    fleet.end().await;

    // A server that only trusts a key publishes nothing that it has not signed.
    let fleet = Fleet::start(Settings { trust: Some(key.public()), ..Settings::default() }).await;
    problem(fleet.put("fw", "1", b"x").await, 403, "/problems/statement").await;
    assert!(fleet.store.names().await.unwrap().is_empty());
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_published_after_their_contents() {
    let fleet = Fleet::start(Settings::default()).await;
    let file = |path: &str, content: &[u8]| Entry {
        path: TreePath::new(path).unwrap(),
        node: Node::File { mode: 0o644, len: content.len() as u64, digest: Digest::of(content) },
    };
    let tree = Tree::new(vec![file("a", b"one"), file("b/c", b"two")]).unwrap();
    let root = tree.root();
    let put =
        |path: String, body: Vec<u8>| fleet.ask(Method::PUT, &path).bearer_auth(&fleet.publisher).body(body).send();
    let put_tree = || put(format!("/trees/{root}"), tree.emit());
    problem(put_tree().await.unwrap(), 422, "/problems/missing-content").await;

    let digests = vec![Digest::of(b"one"), Digest::of(b"two"), Digest::of(b"three")];
    let ask = serde_json::to_string(&ContentsRecord { digests: digests.clone() }).unwrap();
    let missing: ContentsRecord = fleet.post("/contents/missing", &ask).await.json().await.unwrap();
    assert_eq!(missing.digests, digests);
    for content in [b"one", b"two"] {
        let at = format!("/contents/{}", Digest::of(content));
        assert_eq!(put(at.clone(), content.to_vec()).await.unwrap().status(), 201);
        assert_eq!(put(at.clone(), content.to_vec()).await.unwrap().status(), 204);
        assert_eq!(fleet.get(&at).await.bytes().await.unwrap(), content[..]);
    }
    let wrong = put(format!("/contents/{}", Digest::of(b"three")), b"four".to_vec()).await.unwrap();
    problem(wrong, 422, "/problems/digest").await;
    assert_eq!(put_tree().await.unwrap().status(), 201);
    problem(put(format!("/trees/{root}"), b"no tree".to_vec()).await.unwrap(), 422, "/problems/digest").await;

    let publish = format!("{{\"version\":\"1\",\"kind\":\"tree\",\"digest\":\"{root}\"}}");
    assert_eq!(fleet.post("/names/site/versions", &publish).await.status(), 201);
    assert_eq!(fleet.post("/names/site/versions", &publish).await.status(), 200);
    problem(fleet.put("site", "2", b"a file").await, 409, "/problems/other-kind").await;
    let unknown = publish.replace(&root.to_string(), &Digest::of(b"x").to_string());
    problem(fleet.post("/names/site/versions", &unknown).await, 422, "/problems/missing-content").await;

    let manifest = fleet.get("/names/site/versions/1/manifest").await.bytes().await.unwrap();
    assert_eq!(Tree::parse(&manifest).unwrap(), tree);
    let json = fleet.ask(Method::GET, &format!("/trees/{root}")).header(ACCEPT, "application/json").send().await;
    let json: TreeRecord = json.unwrap().json().await.unwrap();
    assert_eq!((json.root, json.files, json.len, json.entries.len()), (root, 2, 6, 2));
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_compressed_and_deltas_applied() {
    let fleet = Fleet::start(Settings { max_job: 1 << 20, ..Settings::default() }).await;
    let [old, new] = images();
    fleet.put("fw", "1.0", &old).await;
    // reqwest's own forms are not in this build: a form is a few lines.
    let form = |path: &str, parts: &[(&str, &[u8])]| {
        let mut body = Vec::new();
        for (name, content) in parts {
            let head = format!("--xx\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n");
            body.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        body.extend(b"--xx--\r\n");
        fleet.ask(Method::POST, path).header(CONTENT_TYPE, "multipart/form-data; boundary=xx").body(body)
    };
    let delta = form("/delta/compress", &[("new", &new), ("old", &old), ("profile", b"tiny")]).send().await.unwrap();
    assert_eq!(header(&delta, CONTENT_TYPE), "application/vnd.gmcf");
    let delta = delta.bytes().await.unwrap();
    assert_eq!(codec::apply(&[&delta], Some(&old)).unwrap(), new);
    let record = form("/delta/compress", &[("new", &new), ("old", &old)]).header(ACCEPT, "application/json");
    let record: TransferRecord = record.send().await.unwrap().json().await.unwrap();
    assert_eq!((record.original_model_size, record.new_model_size), (old.len() as u64, new.len() as u64));
    let back = form("/delta/apply", &[("delta", &delta), ("old", &old)]).send().await.unwrap();
    assert_eq!(back.bytes().await.unwrap(), new);

    // Octets, against a version that is there; and published.
    let octets = |path: &str, body: &[u8]| {
        let post = fleet.ask(Method::POST, path).header(CONTENT_TYPE, "application/octet-stream");
        post.body(body.to_vec())
    };
    let compress = "/delta/compress?name=fw&from=1.0&version=1.1";
    problem(octets(compress, &new).send().await.unwrap(), 401, "about:blank").await;
    let delta = octets(compress, &new).bearer_auth(&fleet.publisher).send().await.unwrap().bytes().await.unwrap();
    let back = octets("/delta/apply?name=fw&from=1.0", &delta).send().await.unwrap();
    assert_eq!(back.bytes().await.unwrap(), new);
    let stored = fleet.post("/delta/compress", "{\"name\":\"fw\",\"from\":\"1.0\",\"to\":\"1.1\"}").await;
    assert_eq!(header(&stored, "gmcf-version"), "1.1");
    assert_eq!(stored.bytes().await.unwrap(), delta);

    problem(octets("/delta/apply?name=fw&from=1.1", &delta).send().await.unwrap(), 422, "/problems/codec").await;
    problem(octets("/delta/apply", b"nonsense").send().await.unwrap(), 422, "/problems/codec").await;
    problem(octets("/delta/apply", &vec![0; 2 << 20]).send().await.unwrap(), 413, "about:blank").await;
    problem(form("/delta/compress", &[("old", &old)]).send().await.unwrap(), 400, "about:blank").await;
    problem(form("/delta/compress", &[("new", &new), ("x", b"")]).send().await.unwrap(), 400, "about:blank").await;
    problem(form("/delta/compress", &[("new", &vec![0; 2 << 20])]).send().await.unwrap(), 413, "about:blank").await;
    problem(fleet.ask(Method::POST, "/delta/apply").send().await.unwrap(), 411, "about:blank").await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deltas_come_in_one_response() {
    let fleet = Fleet::start(Settings::default()).await;
    let [old, new] = images();
    fleet.put("fw", "1.0", &old).await;
    fleet.put("fw", "1.1", &new).await;
    let ask = "{\"deltas\":[{\"name\":\"fw\",\"from\":\"1.0\"},{\"name\":\"none\"},{\"name\":\"fw\",\"to\":\"1.0\"}]}";
    let response = fleet.post("/delta/batch", ask).await;
    let kind = header(&response, CONTENT_TYPE);
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap().to_string();
    let mut body = response.bytes().await.unwrap();
    let mut parts = Vec::new();
    while body.starts_with(format!("--{boundary}\r\n").as_bytes()) {
        let end = body.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(body.split_to(end).to_vec()).unwrap();
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let content = body.split_to(len);
        assert_eq!(body.split_to(2), b"\r\n"[..]);
        parts.push((head, content));
    }
    assert_eq!(body, format!("--{boundary}--\r\n").as_bytes());
    let [first, second, third] = <[(String, Bytes); 3]>::try_from(parts).unwrap();
    assert!(first.0.contains("gmcf-version: 1.1\r\n"));
    assert_eq!(codec::apply(&[&first.1], Some(&old)).unwrap(), new);
    let refused: Problem = serde_json::from_slice(&second.1).unwrap();
    assert_eq!((refused.status, second.0.contains(PROBLEM)), (404, true));
    assert_eq!(codec::apply(&[&third.1], None).unwrap(), old);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_and_nothing_is_written() {
    let settings = Settings { max_body: 1000, timeout: Duration::from_secs(1), ..Settings::default() };
    let fleet = Fleet::start(settings).await;
    problem(fleet.get("/nothing").await, 404, "about:blank").await;
    let not_so = fleet.ask(Method::DELETE, "/names").send().await.unwrap();
    assert!(header(&not_so, ALLOW).contains("GET"));
    problem(not_so, 405, "about:blank").await;
    problem(fleet.get("/names?x=1").await, 400, "about:blank").await;
    problem(fleet.get("/names/..%2F..%2Fetc/latest").await, 400, "about:blank").await;
    problem(fleet.get(&format!("/contents/{}", "A".repeat(64))).await, 400, "about:blank").await;
    problem(fleet.put("fw", "1", &[0; 1001]).await, 413, "about:blank").await;
    let typed = fleet.ask(Method::PUT, "/names/fw/versions/1").bearer_auth(&fleet.publisher);
    let typed = typed.header(CONTENT_TYPE, "text/html").body("x").send().await.unwrap();
    problem(typed, 415, "about:blank").await;
    problem(fleet.post("/names/fw/rollback", "{\"version\":").await, 400, "about:blank").await;
    problem(fleet.post("/names/fw/rollback", "{\"version\":7}").await, 422, "about:blank").await;
    problem(fleet.post("/names/fw/rollback", "{\"version\":\"../x\"}").await, 422, "about:blank").await;
    let untyped = fleet.ask(Method::POST, "/delta/batch").body("{}").send().await.unwrap();
    problem(untyped, 415, "about:blank").await;

    // What no client library sends: heads and bodies that do not come, that end early, or are none.
    let raw = async |text: String, half: bool| {
        let mut stream = tokio::net::TcpStream::connect(fleet.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        if half {
            stream.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        // The server may close before all is read: what came counts.
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        String::from_utf8(answer).unwrap()
    };
    let put = format!("PUT /names/fw/versions/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", fleet.publisher);
    let long = "x".repeat(70_000);
    for (text, half, status) in [
        ("GET / HTTP/1.1\r\nhost".to_string(), false, 408),
        (format!("{put}content-length: 100\r\n\r\nabc"), false, 408),
        (format!("{put}content-length: 100\r\n\r\nabc"), true, 400),
        (format!("{put}content-length: 99999999999\r\n\r\nabc"), false, 413),
        (format!("{put}transfer-encoding: chunked\r\n\r\nzz\r\n"), false, 400),
        (format!("{put}transfer-encoding: chunked\r\n\r\nfff\r\n{long}"), false, 413),
        (format!("{put}connection: close\r\n\r\n"), false, 411),
        ("GARBAGE\r\n\r\n".to_string(), false, 400),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), false, 414),
    ] {
        let answer = raw(text.clone(), half).await;
        let shown: String = text.chars().take(40).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
        assert!(answer.contains(PROBLEM), "{shown}: {answer}");
    }
    assert!(fleet.store.names().await.unwrap().is_empty());
    assert!(fleet.store.content_len(&Digest::of(b"x")).await.unwrap().is_none());
    let metrics = fleet.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("gmcf_panics_total 0\n"), "{metrics}");
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_how_it_is() {
    let fleet = Fleet::start(Settings::default()).await;
    fleet.put("fw", "1.0", b"content").await;
    assert_eq!(fleet.get("/healthz").await.text().await.unwrap(), "ok\n");
    assert_eq!(fleet.get("/readyz").await.text().await.unwrap(), "ready\n");
    let page = fleet.get("/").await.text().await.unwrap();
    assert!(page.contains("/page.js"), "{page}");
    let api: serde_json::Value = fleet.get("/openapi.json").await.json().await.unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    // Every operation says what it may refuse, and how.
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let refusals = operation["responses"].as_object().unwrap();
            for status in ["400", "500", "503"] {
                let content = &refusals[status]["content"];
                assert!(content.get(PROBLEM).is_some(), "{method} {path}: {status} is not described");
            }
        }
    }
    let base = fleet.get("/base/nano").await;
    assert_eq!(header(&base, CONTENT_TYPE), "application/vnd.gmcf");
    assert!(codec::apply(&[&base.bytes().await.unwrap()], None).is_ok());
    problem(fleet.get("/base/huge").await, 404, "about:blank").await;
    let named = fleet.ask(Method::GET, "/healthz").header("x-request-id", "mine-1").send().await.unwrap();
    assert_eq!(header(&named, "x-request-id"), "mine-1");
    fleet.end().await;
}

/// The program: it says where it listens, serves, and ends when it is asked to.
#[cfg(unix)]
#[test]
fn the_program_serves_until_it_is_told_to_stop() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};

    let folder = Scratch::new("server-test").unwrap();
    let gmcf = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gmcf"));
        command.args(args).current_dir(folder.join(""));
        command
    };
    let token = gmcf(&["token", "new", "--store", "fleet", "--label", "test"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let mut server = gmcf(&["serve", "--store", "fleet", "--listen", "127.0.0.1:0", "--log", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = url.trim().strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "PUT /names/fw/versions/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-length: 3\r\n\r\nabc",
        token.trim()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let ended = Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(ended.success() && server.wait().unwrap().success());
    let mut log = String::new();
    server.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["message"] == "published" && line["name"] == "fw"), "{log}");
    assert!(!log.contains(token.trim()), "the log has the token in it");

    // The store knows no more than the digest of the token; revoked, it is worthless.
    let mut revoke =
        gmcf(&["token", "revoke", "--store", "fleet"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    revoke.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    assert!(revoke.wait().unwrap().success());
    let again = gmcf(&["token", "revoke", "--store", "fleet", token.trim()]).output().unwrap();
    assert_eq!(again.status.code(), Some(i32::from(host_trainer::cli::exit::INPUT)));
    let busy = gmcf(&["serve", "--store", "fleet", "--listen", "999.0.0.1:0"]).output().unwrap();
    assert_eq!(busy.status.code(), Some(i32::from(host_trainer::cli::exit::INPUT)));
}
