//! What a call is, as far as health is concerned.

use super::{
    super::guest::Question,
    digest::{Digests, MessageDigest},
};

/// A question in its three kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// Something that is given to the guest to work on, and could be given to it again.
    Content { export: &'static str, name: &'a str, text: &'a str },
    /// Something that happened, and is told once.
    News,
    /// The host's own, on nobody's behalf: neither counted nor refused. A self-test or a handover is not
    /// traffic; and if tools could not be listed while the circuit is open, a call of one would be answered
    /// as unknown instead of as unavailable.
    OfTheHost,
}

impl<'a> From<&'a Question<'_>> for Asked<'a> {
    fn from(question: &'a Question<'_>) -> Self {
        let export = question.export();
        match question {
            Question::Handle(message) => {
                Self::Content { export, name: message.message_type.as_str(), text: &message.payload }
            }
            Question::CallTool { name, arguments } => Self::Content { export, name, text: arguments },
            Question::GetPrompt { name, arguments } => Self::Content { export, name, text: arguments },
            Question::ReadResource { uri } => Self::Content { export, name: uri, text: "" },
            Question::Complete { argument, value, .. } => Self::Content { export, name: argument, text: value },
            Question::Connect | Question::Disconnect { .. } | Question::Event { .. } => Self::News,
            Question::ListTools
            | Question::ListResources
            | Question::ListResourceTemplates
            | Question::ListPrompts
            | Question::SelfTest
            | Question::ExportState
            | Question::ImportState { .. } => Self::OfTheHost,
        }
    }
}

impl Asked<'_> {
    pub(super) fn digest(self, digests: &Digests) -> Option<MessageDigest> {
        match self {
            Self::Content { export, name, text } => Some(digests.message(export, name, text)),
            Self::News | Self::OfTheHost => None,
        }
    }
}
