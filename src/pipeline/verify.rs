//! Verify: whether anybody will take a recipient, asked before it is accepted (RCPT).

use super::Pipeline;
use crate::deliver::Verified;
use crate::mail::{HopReply, Outcome, Recipient};

impl Pipeline {
    /// The recipient, on the route that knows it; or the refusal of the last next hop asked, where all say that there is no such user.
    /// A next hop that cannot be asked keeps nobody out: mail for it waits in the spool.
    pub(super) async fn verify_recipient(&self, mut recipient: Recipient) -> Result<Recipient, HopReply> {
        let routes = self.in_force().routes.clone();
        // Each round follows `unknown_user` once; there are no more rounds than routes, so a circle ends.
        for _round in 0..routes.iter().count() {
            let Some(route) = routes.get(&recipient.route).filter(|route| route.callout) else { return Ok(recipient) };
            let reply = match self.parts.courier.verify(route, &recipient.address).await {
                Verified::Known => return Ok(recipient),
                Verified::CannotTell(why) => {
                    tracing::debug!(recipient = %recipient.address, route = %route.name, why, "the next hop could not be asked about a recipient");
                    return Ok(recipient);
                }
                Verified::Unknown(reply) => reply,
            };
            let refused = Outcome::Refused { hop: String::new(), reply: reply.clone() };
            match route.unknown_user.clone().filter(|_| refused.is_unknown_user()) {
                Some(next) => recipient.route = next,
                None => return Err(reply),
            }
        }
        Ok(recipient)
    }
}
