//! `changes`: who watches what, and what the plugin itself says has changed.

use super::with;
use crate::{
    ChangeError, Span, Subject,
    testing::{
        outcome::Sent,
        rules,
        world::{World, requests::Watch},
    },
};

pub(crate) fn watch(of: &Subject, during: Span, kind: &str, payload: &str) -> Result<(), ChangeError> {
    rules::check_type(kind).map_err(ChangeError::Invalid)?;
    let payload = rules::object(payload).map_err(ChangeError::Invalid)?;
    with(|world| {
        if let Subject::Resource(uri) = of
            && world.offers.reader_of(uri).is_none()
        {
            return Err(ChangeError::Unknown(format!("the caller is offered no resource {uri:?}")));
        }
        let watches = watches(world, during)
            .ok_or_else(|| ChangeError::Other("this call has no request that could watch".to_owned()))?;
        watches.retain(|watch| watch.of != *of);
        watches.push(Watch { of: of.clone(), message: Sent::to_caller(kind, payload) });
        Ok(())
    })
}

pub(crate) fn unwatch(of: &Subject, during: Span) -> bool {
    with(|world| {
        let Some(watches) = watches(world, during) else { return false };
        let before = watches.len();
        watches.retain(|watch| watch.of != *of);
        watches.len() < before
    })
}

fn watches(world: &mut World, during: Span) -> Option<&mut Vec<Watch>> {
    match during {
        Span::Session => {
            let session = world.call().context.session_id.clone();
            Some(world.watches.entry(session).or_default())
        }
        Span::Request => Some(&mut world.call().request.as_mut()?.watches),
    }
}

pub(crate) fn changed(what: &Subject) -> Result<(), ChangeError> {
    with(|world| world.call().changed.push(what.clone()));
    Ok(())
}
