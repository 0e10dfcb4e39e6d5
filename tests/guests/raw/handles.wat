;; Makes handles to things of its own for ever, and drops none.
(import "[export]test:leaks/handles" "[resource-new]handle" (func $new (param i32) (result i32)))
;; part: memory
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (loop $more (drop (call $new (i32.const 0))) (br $more))
  (unreachable))
