//! Statements that the trusted key has not made, or not for this.

use host_trainer::history::{Kind, Signed, Statement};
use host_trainer::release::keys::SecretKey;
use host_trainer::tree::Digest;

use super::super::run;
use super::{Attack, Victim, request, send};
use crate::processes::Client;

fn statement(sequence: u64, version: &str, content: &[u8]) -> Statement {
    Statement {
        name: "fw".parse().unwrap(),
        sequence,
        version: version.parse().unwrap(),
        kind: Kind::File,
        digest: Digest::of(content),
        len: content.len() as u64,
        rollback: false,
        published_at: 1,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server that publishes only what a key has signed which it does not hold.
pub fn forged_and_replayed() {
    let folder = host_trainer::files::Scratch::new("trust").unwrap();
    let made =
        std::process::Command::new(env!("CARGO_BIN_EXE_gmcf")).args(["key", "new"]).arg(folder.join("fleet")).output();
    assert!(made.unwrap().status.success());
    let (secret, public) = (folder.join("fleet.key.pem"), folder.join("fleet.pub.pem"));
    let key = SecretKey::from_pem(&std::fs::read_to_string(secret).unwrap()).unwrap();
    let mut victim = Victim::start(&["--trust", public.to_str().unwrap()]);
    run(async {
        let client = Client::new(&victim.server, &victim.publisher);
        let bearer = format!("Bearer {}", victim.publisher);
        let put = |version: &str, content: &[u8], said: &str| {
            let headers = [("authorization", bearer.as_str()), ("gmcf-statement", said)];
            request("PUT", &format!("/names/fw/versions/{version}"), &headers, content)
        };
        let sign = |statement: Statement| hex(&Signed::new(statement, Some(&key)).emit());
        let (one, two) = (sign(statement(1, "1", b"one")), sign(statement(2, "2", b"two")));
        for (version, content, said) in [("1", &b"one"[..], &one), ("2", b"two", &two)] {
            assert_eq!(send(&victim.server.address, &put(version, content, said)).await.status, 201);
        }
        let back = Statement { rollback: true, ..statement(3, "1", b"one") };
        let (json, record) = (("content-type", "application/json"), br#"{"version": "1"}"#);
        let roll_back = |said: &str| {
            let headers = [("authorization", bearer.as_str()), ("gmcf-statement", said), json];
            request("POST", "/names/fw/rollback", &headers, record)
        };
        assert_eq!(send(&victim.server.address, &roll_back(&sign(back.clone()))).await.status, 201);
        let three = sign(statement(4, "3", b"three"));
        assert_eq!(send(&victim.server.address, &put("3", b"three", &three)).await.status, 201);

        let mut attacks = Vec::new();
        let mut add = |what: &str, bytes: Vec<u8>, allowed| attacks.push(Attack { what: what.into(), bytes, allowed });
        // Replayed.
        add("the first version again", put("1", b"one", &one), &[409]);
        add("the second version again", put("2", b"two", &two), &[409]);
        add("the rollback again", roll_back(&sign(back.clone())), &[409]);
        add("a number that was", put("4", b"four", &sign(statement(2, "4", b"four"))), &[409]);
        add("a number to come", put("4", b"four", &sign(statement(7, "4", b"four"))), &[409]);
        add("number 0", put("4", b"four", &sign(statement(0, "4", b"four"))), &[409]);
        add("the last number", put("4", b"four", &sign(statement(u64::MAX, "4", b"four"))), &[409]);
        // Signed, and for something else.
        let next = statement(5, "4", b"four");
        let other = |statement: Statement| put("4", b"four", &sign(statement));
        add("of another name", other(Statement { name: "other".parse().unwrap(), ..next.clone() }), &[422]);
        add("of another version", other(Statement { version: "5".parse().unwrap(), ..next.clone() }), &[422]);
        add("of a folder", other(Statement { kind: Kind::Tree, ..next.clone() }), &[422]);
        add("of another content", other(Statement { digest: Digest::of(b"five"), ..next.clone() }), &[422]);
        add("of another length", other(Statement { len: 5, ..next.clone() }), &[422]);
        add("a rollback", other(Statement { rollback: true, ..next.clone() }), &[422]);
        add("no rollback", roll_back(&sign(Statement { rollback: false, ..back.clone() })), &[422]);
        add(
            "a rollback with nothing signed",
            request("POST", "/names/fw/rollback", &[("authorization", &bearer), json], record),
            &[403],
        );
        // Not signed by the key.
        let unsigned = request("PUT", "/names/fw/versions/4", &[("authorization", &bearer)], b"four");
        add("nothing signed", unsigned, &[403]);
        add("without a signature", put("4", b"four", &hex(&Signed::new(next.clone(), None).emit())), &[403]);
        let stranger = Signed::new(next.clone(), Some(&SecretKey::generate())).emit();
        add("signed by another key", put("4", b"four", &hex(&stranger)), &[403]);
        let good = Signed::new(next.clone(), Some(&key)).emit();
        for at in 0..good.len() {
            let mut forged = good.clone();
            forged[at] ^= 1;
            add(&format!("a bit of byte {at} turned"), put("4", b"four", &hex(&forged)), &[400, 403]);
        }
        for cut in 1..good.len() {
            add("cut off", put("4", b"four", &hex(&good[..cut])), &[400, 403]);
        }
        add("with more behind", put("4", b"four", &(hex(&good) + "00")), &[400]);
        let (text, long) = (hex(&good), "00".repeat(600));
        let odd = &text[1..];
        for wrong in ["", "zz", odd, &long, "0x00", "\u{ff}", "../..", "+1-1"] {
            add(&format!("{wrong:.20} as a statement"), put("4", b"four", wrong), &[400]);
        }
        let record =
            serde_json::json!({ "version": "4", "kind": "file", "digest": Digest::of(b"two"), "statement": text });
        let headers = [("authorization", bearer.as_str()), json];
        add(
            "of another content, by record",
            request("POST", "/names/fw/versions", &headers, record.to_string().as_bytes()),
            &[422],
        );
        victim.endure(attacks).await;

        // What was in all of them is taken when it is right.
        assert_eq!(send(&victim.server.address, &put("4", b"four", &text)).await.status, 201);
        assert_eq!(client.bytes("/names/fw/versions/4/content").await, b"four");
    });
}
