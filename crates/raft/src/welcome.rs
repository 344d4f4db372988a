//! Who may come into a mesh with an empty store: a founder that was seen empty before the mesh was founded, and
//! nobody else.
//!
//! A member whose disk was lost has forgotten how it voted and what it acknowledged. Under its old number it
//! would count towards majorities with a promise that it no longer keeps, and acknowledged writes could be lost.
//! It looks exactly like a founder that starts for the first time, but for one thing: the founding member asks
//! every founder before it founds, and each notes on its disk that it was asked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Disk, StoreError};

/// The file that says that the founding member has asked.
pub(crate) const WELCOME: &str = "welcome";

/// Whether this member's store may be empty.
pub(crate) struct Welcome {
    disk: Arc<dyn Disk>,
    given: AtomicBool,
}

impl Welcome {
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let given = match disk.read(WELCOME) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => {
                let path = disk.path(WELCOME);
                return Err(StoreError::Io { what: "cannot read", path, source });
            }
        };
        Ok(Self { disk, given: AtomicBool::new(given) })
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// Notes it, before the founding member hears the answer.
    pub(crate) fn give(&self) -> io::Result<()> {
        if !self.is_given() {
            self.disk.write(WELCOME, b"asked by the founding member while empty\n")?;
            self.given.store(true, Ordering::Release);
        }
        Ok(())
    }
}
