;; Grows a table until it may not, and then gives up.
;; part: memory
;; part: realloc
;; part: manifest
(table $functions 1 funcref)
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (loop $more
    (br_if $more (i32.ne (table.grow $functions (ref.null func) (i32.const 1000)) (i32.const -1))))
  (unreachable))
