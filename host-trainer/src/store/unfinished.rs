//! What writers that were killed have left in a folder: files beside the objects that they were to become.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use walkdir::{DirEntry, WalkDir};

use super::Store;

impl Store {
    /// Removes what was begun to be written at least `age` ago and was never finished, and tells how many files that were.
    /// Of a bucket nothing: there, unfinished writes are no objects, and a rule of the bucket ends them.
    ///
    /// # Errors
    /// The system's.
    pub fn clear_unfinished(&self, age: Duration) -> io::Result<u64> {
        let mut cleared = 0;
        if !self.is_folder() {
            return Ok(cleared);
        }
        for found in WalkDir::new(&self.place) {
            match found.map_err(io::Error::from).and_then(|found| clear(&found, age)) {
                Ok(done) => cleared += u64::from(done),
                // Other servers write and clear meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(cleared)
    }
}

/// Removes a file that is unfinished and old; whether it was.
fn clear(found: &DirEntry, age: Duration) -> io::Result<bool> {
    if !found.file_type().is_file() || !is_unfinished(found.path()) {
        return Ok(false);
    }
    let modified = found.metadata()?.modified()?;
    if SystemTime::now().duration_since(modified).is_ok_and(|since| since >= age) {
        std::fs::remove_file(found.path())?;
        return Ok(true);
    }
    Ok(false)
}

/// Whether it is `OBJECT#NUMBER`. No object has such a name.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}
