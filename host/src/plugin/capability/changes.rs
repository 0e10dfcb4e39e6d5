//! `changes`: who wants to hear that something which is offered has changed, and that it has.

use super::{
    super::{
        bindings::changes::{ChangeError as GuestError, Host, Span as GuestSpan, Subject as GuestSubject},
        call_state::CallState,
        json_object,
        offers::{ChangeError, Span, Subject, Watch},
    },
    messages::sendable_type,
};

/// As long as a URI that is handed on.
const MAX_URI_BYTES: usize = 2_048;

impl Host for CallState {
    async fn watch(
        &mut self,
        of: GuestSubject,
        during: GuestSpan,
        type_: String,
        payload: String,
    ) -> Result<(), GuestError> {
        let of = subject(of)?;
        let message_type = sendable_type(&type_).map_err(GuestError::Invalid)?;
        json_object::check(&payload).map_err(|problem| GuestError::Invalid(format!("the payload: {problem}")))?;
        self.emissions.take(payload.len()).map_err(GuestError::LimitExceeded)?;
        let context = self.onward_within_depth().map_err(GuestError::Other)?;
        let request = self.context.request.clone();
        let context = super::super::effects::CallContext { request, ..context };
        let effects = context.effects.clone();
        let offers = effects.offers().ok_or_else(nobody)?;
        let watch = Watch { of, during: during.into(), message_type, payload };
        Ok(self.meter.without(offers.watch(&context, watch)).await?)
    }

    fn unwatch(&mut self, of: GuestSubject, during: GuestSpan) -> bool {
        let Ok(of) = subject(of) else { return false };
        self.context.effects.offers().is_some_and(|offers| offers.unwatch(&self.context, &of, during.into()))
    }

    fn changed(&mut self, what: GuestSubject) -> Result<(), GuestError> {
        let what = subject(what)?;
        self.emissions.take(0).map_err(GuestError::LimitExceeded)?;
        let offers = self.context.effects.offers().ok_or_else(nobody)?;
        Ok(offers.changed(&self.version.name, what)?)
    }
}

fn nobody() -> GuestError {
    GuestError::Other("this call has no caller that could watch".into())
}

fn subject(subject: GuestSubject) -> Result<Subject, GuestError> {
    Ok(match subject {
        GuestSubject::Tools => Subject::Tools,
        GuestSubject::Prompts => Subject::Prompts,
        GuestSubject::Resources => Subject::Resources,
        GuestSubject::Resource(uri) if uri.len() <= MAX_URI_BYTES => Subject::Resource(uri),
        GuestSubject::Resource(uri) => {
            let problem = format!("the URI has {} bytes, and {MAX_URI_BYTES} are allowed", uri.len());
            return Err(GuestError::Invalid(problem));
        }
    })
}

impl From<GuestSpan> for Span {
    fn from(span: GuestSpan) -> Self {
        match span {
            GuestSpan::Session => Self::Session,
            GuestSpan::Request => Self::Request,
        }
    }
}

impl From<ChangeError> for GuestError {
    fn from(fault: ChangeError) -> Self {
        match fault {
            ChangeError::Unknown(text) => Self::Unknown(text),
            ChangeError::LimitExceeded(text) => Self::LimitExceeded(text),
            ChangeError::Other(text) => Self::Other(text),
        }
    }
}
