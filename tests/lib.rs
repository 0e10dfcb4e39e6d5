//! Nothing: the tests are in `suite/`, one module per behaviour.
