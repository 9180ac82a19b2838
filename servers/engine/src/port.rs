//! The way back to the front end.

use busload_wire::RequestId;

use crate::call::ControlReply;
use crate::error::EngineError;
use crate::health::Notice;
use crate::outcome::Work;

/// The outcomes of one vector (or of the part of it that went into one batch).
#[derive(Debug)]
pub struct Reply<A> {
    /// Who submitted it.
    pub to: A,
    /// The same vector, outcomes filled in, in the same order.
    pub work: Vec<Work>,
}

/// How outcomes get back to the front end. Called on the writer thread: must not block.
pub trait ReplyPort: Send + 'static {
    /// Names who waits for an answer.
    type Address: Clone + Send + 'static;

    /// All outcomes of one batch, after its COMMIT has returned. Takes what is in `batch`.
    fn transfers(&mut self, batch: &mut Vec<Reply<Self::Address>>);

    /// The answer to a control call.
    fn control(
        &mut self,
        to: Self::Address,
        id: Option<RequestId>,
        reply: Result<ControlReply, EngineError>,
    );

    /// The health has changed; the engine goes on.
    fn notice(&mut self, notice: Notice);

    /// The writer has ended: nothing more will come.
    fn stopped(&mut self);
}
