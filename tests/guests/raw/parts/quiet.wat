;; Handles everything with `ok(none)`, which is all zeros, as the memory is at 0.
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32) (i32.const 0))
