//! The table of attacks by guests that are called.
//!
//! Texts stand here as little as possible: the page shows what was really received.

use super::attack::Attack;

const QUICKLY: &str = "cpu_time = \"100ms\"";

/// Every limit of one call at a size that a flood reaches in no time.
const FLOOD: &str = "max_emissions = 50\nmax_emitted_bytes = \"1MiB\"\nmax_log_lines = 20\nmax_state_bytes = \"256KiB\"\ncpu_time = \"2s\"";

const CPU: &str = "`cpu_time`: the epoch advances once a millisecond, and each tick asks what the call has used";
const CANONICAL: &str = "the rules by which values cross (component model, canonical ABI)";
const CONTAINED: &str = "Wasm itself: a trap ends the instance, and the instance served one call";
const ANSWER: &str = "answers are checked before anyone believes them";

const fn flood(does: &'static str, payload: &'static str) -> Attack {
    Attack::of("flood", does, "flood", payload).limits(FLOOD)
}

const fn lie(does: &'static str, payload: &'static str) -> Attack {
    Attack::of("liar", does, "lie", payload).held_by(ANSWER)
}

pub const CALLS: &[Attack] = &[
    Attack::of("spin", "spins in pure compute", "spin", "{}").limits(QUICKLY).held_by(CPU).times_out("100 ms"),
    Attack::of("waits", "spins across host calls", "wait_host", "{}").limits(QUICKLY).held_by(CPU).times_out("100 ms"),
    Attack {
        send: ("embrace-left", "{}"),
        with: Some(("embrace-right", "{}")),
        guest: super::attack::Guest::Raw("embrace"),
        ..Attack::raw("embrace-left", "waits for ever in a host call: two calls, each for what the other holds")
    }
    .limits("deadline = \"500ms\"\ncpu_time = \"10s\"")
    .held_by("`deadline`: the future of the call is dropped, and the store with it")
    .times_out("500 ms"),
    Attack {
        send: ("embrace-right", "{}"),
        with: Some(("embrace-left", "{}")),
        guest: super::attack::Guest::Raw("embrace"),
        ..Attack::raw("embrace-right", "the other of the two")
    }
    .limits("deadline = \"500ms\"\ncpu_time = \"10s\"")
    .held_by("`deadline`")
    .times_out("500 ms"),
    Attack {
        guest: super::attack::Guest::Raw("spin"),
        with: Some(("occupy", "{}")),
        answer: ("PLUGIN_BUSY", "as many calls as it may"),
        outcome: "busy",
        ..Attack::raw("occupy", "takes all the turns that its plugin has")
    }
    .limits("max_concurrent_calls = 1\nmax_wait = \"0ms\"\ncpu_time = \"1s\"")
    .held_by("`max_concurrent_calls`, then `max_wait`"),
    Attack {
        answer: ("PLUGIN_OUT_OF_MEMORY", "8388608"),
        outcome: "out_of_memory",
        ..Attack::of("alloc", "grows its memory", "alloc_forever", "{}")
    }
    .limits("max_memory_bytes = \"8MiB\"")
    .held_by("`max_memory_bytes`: asked before each growth"),
    Attack::raw("table-grow", "grows a table").held_by("`max_table_elements`").exceeds("max_table_elements"),
    Attack::raw("recurse", "recurses without end").held_by(CONTAINED).crashes("call stack exhausted"),
    Attack::of("trap", "panics", "trap_now", "{}").held_by(CONTAINED).crashes("unreachable"),
    Attack::raw("unreachable", "executes `unreachable`").held_by(CONTAINED).crashes("unreachable"),
    Attack::raw("divide", "divides by zero").held_by(CONTAINED).crashes("divide by zero"),
    Attack::raw("out-of-bounds", "reads outside its memory").held_by(CONTAINED).crashes("out of bounds"),
    Attack::raw("wrong-signature", "calls a function as if it were another")
        .held_by(CONTAINED)
        .crashes("indirect call type mismatch"),
    flood("floods messages", r#"{"of":"messages"}"#)
        .held_by("`max_emissions`: the guest is told")
        .is_told("flood_result", "max_emissions"),
    flood("floods messages, and goes on when it is told to stop", r#"{"of":"messages","anyway":true}"#)
        .held_by("`max_emissions`, then `cpu_time`")
        .times_out("2000 ms"),
    flood("floods bytes", r#"{"of":"bytes"}"#)
        .held_by("`max_emitted_bytes`: the guest is told")
        .is_told("flood_result", "max_emitted_bytes"),
    Attack {
        logged: Some("the plugin logged more than `max_log_lines` in one call"),
        ..flood("floods the log", r#"{"of":"logs"}"#)
            .held_by("`max_log_lines`: the rest is counted and dropped")
            .is_told("flood_result", "200")
    },
    flood("floods state with large values", r#"{"of":"state"}"#)
        .held_by("`max_state_bytes`, of each scope of each owner: the guest is told")
        .is_told("flood_result", "max_state_bytes"),
    flood("floods state with many keys", r#"{"of":"keys"}"#)
        .held_by("`max_state_bytes`: each entry counts for 64 bytes more than it has")
        .is_told("flood_result", "max_state_bytes"),
    // Nobody listens there, and the requests that are refused count like those that are sent.
    Attack::of("fetcher", "floods outbound requests", "fetch", r#"{"url":"http://127.0.0.1:1/","times":7}"#)
        .limits("max_outbound_requests = 5")
        .granted("hosts = [\"http://127.0.0.1:1\"]\nnetworks = [\"127.0.0.0/8\"]")
        .held_by("`max_outbound_requests`: the guest is told")
        .is_told("fetch_result", "max_outbound_requests"),
    Attack::of("fetcher", "asks for the credentials of the machine", "fetch", r#"{"url":"http://169.254.169.254/"}"#)
        .held_by("`grants.hosts`, and the address of each connection: the guest is told")
        .is_told("fetch_result", "hosts"),
    Attack::raw("huge-answer", "answers with more than may leave the sandbox at once")
        .held_by("`max_hostcall_bytes`: fuel for what the host copies")
        .exceeds("max_hostcall_bytes"),
    Attack {
        guest: super::attack::Guest::Raw("huge-answer"),
        ..Attack::raw("large-answer", "answers with more than a client is sent")
    }
    .limits("max_hostcall_bytes = \"4MiB\"\nmax_emitted_bytes = \"1MiB\"")
    .held_by("`max_emitted_bytes`")
    .answers_wrongly("max_emitted_bytes"),
    Attack::raw("huge-hostcall", "hands a huge value to a host call")
        .held_by("`max_hostcall_bytes`")
        .exceeds("max_hostcall_bytes"),
    Attack::raw("list-of-4-gib", "claims a list of four billion elements in a host call").held_by(CANONICAL),
    Attack::raw("answer-of-4-gib", "claims a text of four billion bytes in its answer").held_by(CANONICAL),
    Attack::raw("text-outside", "hands a text that lies outside its memory to a host call").held_by(CANONICAL),
    Attack::raw("answer-outside", "answers with a text that lies outside its memory").held_by(CANONICAL),
    Attack::raw("answer-nowhere", "says that its answer lies outside its memory").held_by(CANONICAL),
    Attack::raw("not-utf8", "answers with bytes that are no text").held_by(CANONICAL).crashes("utf-8"),
    Attack::raw("realloc-outside", "offers the host room outside its memory").held_by(CANONICAL),
    Attack::raw("realloc-unaligned", "offers the host room where no value may be").held_by(CANONICAL),
    Attack::raw("realloc-same", "offers the host one place for everything, and answers with what became of it")
        .held_by(CANONICAL),
    Attack::raw("realloc-traps", "crashes when the host asks for room").held_by(CONTAINED).crashes("unreachable"),
    Attack::raw("realloc-spins", "never finds room for the host's values")
        .limits(QUICKLY)
        .held_by(CPU)
        .times_out("100 ms"),
    Attack::raw("post-return-traps", "answers, and crashes when it cleans up")
        .held_by(CONTAINED)
        .crashes("unreachable"),
    Attack::raw("post-return-spins", "answers, and never finishes to clean up")
        .limits(QUICKLY)
        .held_by(CPU)
        .times_out("100 ms"),
    Attack::raw("handles", "leaks resources: makes handles and drops none")
        .held_by("1024 handles; fixed")
        .exceeds("handles"),
    Attack::raw("random-endless", "asks for random bytes without end").limits(QUICKLY).held_by(CPU).times_out("100 ms"),
    Attack::raw("random-huge", "asks for four billion random bytes at once")
        .held_by("64 KiB a call; fixed by the contract")
        .exceeds("random"),
    lie("answers with a type of the host", r#"{"how":"reserved"}"#).answers_wrongly("belongs to the host"),
    lie("answers with a type that is none", r#"{"how":"type"}"#).answers_wrongly("not a message type"),
    lie("answers with a payload that is not JSON", r#"{"how":"payload"}"#).answers_wrongly("not JSON"),
    lie("answers with ten thousand levels of JSON", r#"{"how":"deep"}"#).answers_wrongly("levels"),
    Attack::of("abandon", "begins a run and leaves it", "abandon_run", r#"{"how":"return"}"#)
        .held_by("each run has exactly one terminal event, which the host sends")
        .is_told("agent_completed", "error"),
    Attack::of("nested", "calls tools in a circle", "nested", "{}")
        .held_by("the chain of callers: a plugin is in it once")
        .is_told("nested_result", "circle"),
    Attack::raw("too-deep", "calls tools deeper than it may")
        .limits("max_call_depth = 0")
        .held_by("`max_call_depth`: the guest is told")
        .refuses("max_call_depth"),
    Attack::raw("to-others", "sends to a user who did not ask")
        .held_by("`grants.send_to_others`: the guest is told")
        .refuses("send_to_others"),
];
