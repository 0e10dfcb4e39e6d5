;; Refuses with the text of the error that a host call has left at 512: which case, then where the text is.
(data (i32.const 768) "REFUSED_BY_HOST")
(func $refuse (result i32)
  (i32.store8 (i32.const 0) (i32.const 1))
  (i32.store (i32.const 8) (i32.const 768))
  (i32.store (i32.const 12) (i32.const 15))
  (i64.store (i32.const 16) (i64.load (i32.const 520)))
  (i32.const 0))
