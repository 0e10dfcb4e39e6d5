;; Asked who it is, it takes memory until there is none.
;; part: memory
;; part: realloc
;; part: quiet
(func (export "switchboard:plugin/plugin@0.1.0#manifest") (result i32)
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  (unreachable))
