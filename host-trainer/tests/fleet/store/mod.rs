//! What every store does: the same cases in a folder and in a bucket.

mod cases;
mod race;

use std::time::Instant;

use futures_util::future::LocalBoxFuture;
use host_trainer::files::Scratch;

use super::backend::Backend;
use super::run;
use super::s3::S3;

/// One case, in a place of its own.
type Case = fn(Backend) -> LocalBoxFuture<'static, ()>;

macro_rules! cases {
    ($($module:ident::$name:ident)+) => { &[$((stringify!($name), |at| Box::pin($module::$name(at)))),+] };
}

const CASES: &[(&str, Case)] = cases! {
    cases::contents_come_back_whole_and_in_parts
    cases::large_contents_are_written_in_parts
    cases::trees_come_back
    cases::statements_are_appended
    cases::names_are_listed
    cases::grants_are_kept_and_revoked
    cases::usage_is_merged
    cases::deltas_are_listed_and_deleted
    cases::deltas_that_nobody_uses_are_evicted
    cases::what_was_left_unfinished_is_cleared
    cases::long_lists_are_whole
    cases::damaged_objects_are_named
    cases::places_are_kept_apart
    race::publishers_of_one_name_get_a_number_each
};

fn suite(backend: &Backend) {
    for (name, case) in CASES {
        let start = Instant::now();
        println!("{name} in {}", backend.place);
        run(case(backend.below(name)));
        println!("    {} ms", start.elapsed().as_millis());
    }
}

#[test]
fn folders_are_stores() {
    let folder = Scratch::new("store").unwrap();
    suite(&Backend::folder(&folder.join("store")));
}

#[test]
fn buckets_are_stores() {
    let Some(s3) = S3::start() else { return };
    suite(&Backend::s3(&s3, "some/prefix"));
    println!("without a prefix");
    run(cases::the_place_itself_is_a_store(Backend::s3(&s3, "")));
}

#[test]
fn what_cannot_be_opened_says_why() {
    use host_trainer::store::Store;
    let refused = |place: &str| Store::open_with(place, []).unwrap_err().to_string();
    assert_eq!(refused("gs://x"), "cannot open the store `gs://x`: neither a folder nor s3://BUCKET[/PREFIX]");
    let folder = Scratch::new("store").unwrap();
    std::fs::write(folder.join("file"), "x").unwrap();
    assert!(refused(folder.join("file").to_str().unwrap()).contains("/file`: "), "a file is no folder");
}

#[test]
fn a_bucket_that_does_not_answer_or_does_not_let_in_is_an_error_soon() {
    let Some(s3) = S3::start() else { return };
    let with = |name: &str, value: &str| {
        let mut variables = s3.variables();
        variables.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.into();
        Backend { variables, ..Backend::s3(&s3, "x") }.store()
    };
    let ready = |store: host_trainer::store::Store| {
        let start = Instant::now();
        let error = run(store.ready()).unwrap_err().to_string();
        assert!(start.elapsed().as_secs() < 20, "{} s: {error}", start.elapsed().as_secs());
        error
    };
    println!("{}", ready(with("AWS_SECRET_ACCESS_KEY", "wrong")));
    // A port of nobody.
    println!("{}", ready(with("AWS_ENDPOINT_URL", "http://127.0.0.1:9")));
}
