//! `topics`: publish and subscribe, within the topics that the operator granted to the plugin.
//!
//! What the caller may do to a topic is decided where topics are; here it is about the plugin.

use super::{
    super::{
        PluginVersion,
        bindings::topics::{
            Host, Member, Position, Publication, Receipt, SubscribeOptions as GuestOptions, Subscription,
            TopicError as GuestError,
        },
        call_state::CallState,
        effects::{Caller, SubscribeOptions, TopicError, TopicPosition},
        json_object,
    },
    messages::sendable_type,
};

impl Host for CallState {
    fn subscribe(&mut self, topic: String) -> Result<Position, GuestError> {
        self.granted(&topic)?;
        let options = SubscribeOptions::default();
        let subscription = self.context.effects.subscribe(&self.context.caller, &topic, options)?;
        Ok(subscription.position.into())
    }

    fn subscribe_with(&mut self, topic: String, options: GuestOptions) -> Result<Subscription, GuestError> {
        self.granted(&topic)?;
        let since = options.since.map(|position| TopicPosition { offset: position.offset, epoch: position.epoch });
        let options = SubscribeOptions { since, presence: options.presence };
        let subscription = self.context.effects.subscribe(&self.context.caller, &topic, options)?;
        Ok(Subscription {
            position: subscription.position.into(),
            recovered: subscription.recovered,
            replayed: subscription.replayed,
        })
    }

    fn unsubscribe(&mut self, topic: String) -> Result<bool, GuestError> {
        self.granted(&topic)?;
        Ok(self.context.effects.unsubscribe(&self.context.caller, &topic)?)
    }

    fn publish(
        &mut self,
        topic: String,
        type_: String,
        payload: String,
        exclude_caller: bool,
    ) -> Result<Receipt, GuestError> {
        self.granted(&topic)?;
        let message_type = sendable_type(&type_).map_err(GuestError::Invalid)?;
        json_object::check(&payload).map_err(|problem| GuestError::Invalid(format!("the payload: {problem}")))?;
        self.emissions.take(payload.len()).map_err(GuestError::LimitExceeded)?;
        // Whoever hears of it hears it from this plugin, whosever message it was.
        let through = self.context.through().unwrap_or(&self.version.name).clone();
        let caller = Caller { through: Some(through), ..self.context.caller.clone() };
        let (position, receivers) =
            self.context.effects.publish(&caller, &topic, message_type, payload, exclude_caller)?;
        Ok(Receipt { position: position.into(), receivers })
    }

    fn members(&mut self, topic: String) -> Result<Vec<Member>, GuestError> {
        self.granted(&topic)?;
        let members = self.context.effects.members(&self.context.caller, &topic)?;
        let member = |m: super::super::effects::TopicMember| Member {
            connection_id: m.connection_id.to_string(),
            subject: m.subject,
        };
        Ok(members.into_iter().map(member).collect())
    }

    fn history(&mut self, topic: String, limit: u32) -> Result<Vec<Publication>, GuestError> {
        self.granted(&topic)?;
        let publications = self.context.effects.history(&self.context.caller, &topic, limit)?;
        let publication = |p: super::super::effects::TopicPublication| Publication {
            offset: p.offset,
            type_: p.message_type.to_string(),
            payload: p.payload.to_string(),
            publisher: p.publisher.to_string(),
            timestamp: p.timestamp,
        };
        Ok(publications.into_iter().map(publication).collect())
    }
}

impl PluginVersion {
    /// Whether the operator granted it this topic, or all that this pattern can name.
    pub fn may_use_topic(&self, topic: &str) -> bool {
        self.grants.topics.iter().any(|granted| covers(granted, topic))
    }
}

impl CallState {
    fn granted(&self, topic: &str) -> Result<(), GuestError> {
        if self.version.may_use_topic(topic) {
            return Ok(());
        }
        Err(GuestError::Forbidden("this plugin's `grants.topics` do not cover the topic".into()))
    }
}

impl From<TopicPosition> for Position {
    fn from(position: TopicPosition) -> Self {
        Self { offset: position.offset, epoch: position.epoch }
    }
}

impl From<TopicError> for GuestError {
    fn from(fault: TopicError) -> Self {
        match fault {
            TopicError::Invalid(text) => Self::Invalid(text),
            TopicError::Forbidden(text) => Self::Forbidden(text),
            TopicError::LimitExceeded(text) => Self::LimitExceeded(text),
        }
    }
}

/// Whether everything that `asked` (a topic or a pattern) can name is covered by the granted pattern.
/// `*` is one level, `**` the rest; `.` and `/` separate levels, and are not each other.
fn covers(granted: &str, asked: &str) -> bool {
    let (mut granted, mut asked) = (levels(granted), levels(asked));
    loop {
        match (granted.next(), asked.next()) {
            (Some((_, "**")), Some(_)) | (None, None) => return true,
            (Some((by, "*")), Some((separator, level))) if by == separator && level != "**" => {}
            (Some(by), Some(level)) if by == level && level.1 != "*" && level.1 != "**" => {}
            _ => return false,
        }
    }
}

/// Each level with the separator before it.
fn levels(topic: &str) -> impl Iterator<Item = (Option<char>, &str)> {
    let mut rest = Some(topic);
    let mut separator = None;
    std::iter::from_fn(move || {
        let text = rest?;
        let level = match text.find(['.', '/']) {
            None => {
                rest = None;
                (separator, text)
            }
            Some(at) => {
                let (level, tail) = text.split_at(at);
                let before = separator;
                separator = tail.chars().next();
                rest = tail.get(1..);
                (before, level)
            }
        };
        Some(level)
    })
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_grant_covers_what_it_names_and_nothing_else() {
        for (granted, asked) in [
            ("**", "a"),
            ("**", "a.b.**"),
            ("a", "a"),
            ("room.*", "room.1"),
            ("room.*", "room.*"),
            ("room.**", "room.1.x"),
            ("room.**", "room.**"),
            ("room/*/log", "room/1/log"),
        ] {
            assert!(covers(granted, asked), "{granted} covers {asked}");
        }
        for (granted, asked) in [
            ("a", "b"),
            ("a", "a.b"),
            ("room.*", "room"),
            ("room.*", "room.1.x"),
            ("room.*", "room.**"),
            ("room.*", "room/1"),
            ("room.1", "room.*"),
            ("room.**", "**"),
            ("room.**", "room"),
        ] {
            assert!(!covers(granted, asked), "{granted} does not cover {asked}");
        }
    }
}
