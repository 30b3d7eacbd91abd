//! Messages in and out of their bytes, with an error for the client where bytes are no such message.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{self, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// The form of messages that the generated code asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for Codec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> codec::Codec for Codec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Default + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProstEncoder<E>;
    type Decoder = OfClients<D>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        OfClients(ProstDecoder::default())
    }
}

/// Reads what clients send.
#[derive(Clone, Debug)]
pub(super) struct OfClients<D>(ProstDecoder<D>);

impl<D: Message + Default> Decoder for OfClients<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        // What is wrong with the bytes is said in the words of a library, and only its author could use them.
        self.0.decode(bytes).map_err(|_| {
            Status::invalid_argument(
                "the message is not in the form that `proto/inference.proto` gives this call",
            )
        })
    }

    fn buffer_settings(&self) -> codec::BufferSettings {
        self.0.buffer_settings()
    }
}
