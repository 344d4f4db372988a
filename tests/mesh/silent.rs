//! Somebody who has connected and says nothing: he holds up nobody who stops.

use anyhow::Result;
use kato_net::{Expect, Role};

use crate::node::{DATACENTERS, Site};

#[tokio::test]
async fn a_member_stops_in_order_while_somebody_is_connected_who_never_said_a_word() -> Result<()> {
    let site = Site::new()?;
    let node = site.start(1).await?;
    let first = Expect::Role(Role::Coordinator(DATACENTERS[0].parse()?));
    let silent = site.transport(DATACENTERS[1])?.connect(&site.address(1)?, &first).await?;
    node.stop().await?;
    drop(silent);
    Ok(())
}
