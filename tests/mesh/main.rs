//! Three members in one process, as real as that allows: real directories, loopback TCP, mutual TLS with
//! certificates of their own, tokio's own time. What the simulator replaces is shown to work here.

mod burst;
mod coordinator;
mod failure;
mod forgetting;
mod founding;
mod full_disk;
mod handover;
mod host;
mod node;
mod overload;
mod pages;
mod reading;
mod rejoin;
mod restoring;
mod retime;
mod running;
mod silent;
mod slow;
mod steady;
mod version;
mod watching;
mod work;
