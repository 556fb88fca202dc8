//! Connections that take their time, or break off.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, TIMEOUT, Victim, receive, request};

/// Within which a connection must end that says nothing: its limit, and what a busy machine needs.
const SOON: Duration = Duration::from_secs(TIMEOUT + 4);

/// Sends `first`, and then one byte after the other, until the server has enough of it.
async fn drip(address: &str, first: &[u8], byte: u8) -> (Answer, Duration) {
    let (start, stream) = (Instant::now(), TcpStream::connect(address).await.unwrap());
    let (reader, mut writer) = stream.into_split();
    let dripping = async {
        let _ = writer.write_all(first).await;
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if writer.write_all(&[byte]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let answer = tokio::select! {
        answer = receive(reader) => answer,
        () = dripping => unreachable!("it goes on for ever"),
    };
    (answer, start.elapsed())
}

/// Sends `first`, and then nothing; with `close` that is all that there will be.
async fn stop(address: &str, first: &[u8], close: bool) -> (Answer, Duration) {
    let (start, stream) = (Instant::now(), TcpStream::connect(address).await.unwrap());
    let (reader, mut writer) = stream.into_split();
    writer.write_all(first).await.unwrap();
    if close {
        writer.shutdown().await.unwrap();
    }
    let answer = receive(reader).await;
    drop(writer);
    (answer, start.elapsed())
}

/// All of them at once.
pub async fn all(victim: &Victim) {
    let (address, bearer) = (victim.server.address.as_str(), format!("Bearer {}", victim.publisher));
    let put = |headers: &[(&str, &str)], body: &[u8]| {
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        request("PUT", "/names/fw/versions/9", &headers, body)
    };
    let chunked = ("transfer-encoding", "chunked");
    let length = ("content-length", "1000");
    let json = request("POST", "/contents/missing", &[("content-type", "application/json"), length], b"{");
    let form = [("content-type", "multipart/form-data; boundary=b"), length];
    let form = request("POST", "/delta/compress", &form, b"--b\r\n");
    let heads: [&[u8]; 5] = [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n", b"\r\n\r\n\r\n"];
    let bodies =
        [put(&[length], b""), put(&[length], b"x"), put(&[chunked], b""), put(&[chunked], b"5\r\nab"), json, form];
    let check = |what: &str, (answer, took): (Answer, Duration), allowed: &[u16]| {
        answer.check(allowed).unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        assert!(took < SOON, "{what}: it took {took:?}");
    };
    let slow_heads = heads.map(|head| async move {
        check("a head that drips", drip(address, head, b'a').await, &[0, 400, 408]);
        check("a head that stops", stop(address, head, false).await, &[0, 408]);
        check("a head that ends", stop(address, head, true).await, &[0, 400, 408]);
    });
    let slow_bodies = bodies.iter().map(|body| async move {
        check("a body that drips", drip(address, body, b'1').await, &[400, 408]);
        check("a body that stops", stop(address, body, false).await, &[408]);
        check("a body that ends", stop(address, body, true).await, &[0, 400]);
    });
    futures_util::future::join3(
        futures_util::future::join_all(slow_heads),
        futures_util::future::join_all(slow_bodies),
        never_reads(victim),
    )
    .await;
}

/// A client that asks for much, and does not read it, does not hold a connection for ever.
async fn never_reads(victim: &Victim) {
    const LEN: usize = 32 << 20;
    let store = victim.backend.store();
    let digest = store.put_content(Bytes::from(vec![7; LEN])).await.unwrap();
    let mut stream = TcpStream::connect(&victim.server.address).await.unwrap();
    stream.write_all(&request("GET", &format!("/contents/{digest}"), &[], b"")).await.unwrap();
    tokio::time::sleep(SOON).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the connection is closed");
    assert!(rest.len() < LEN, "the server has waited");
    std::fs::remove_file(std::path::Path::new(&victim.backend.place).join(format!("contents/{digest}"))).unwrap();
}
