;; A component that only exports an interface of its own.
(component
  (core module $Main
    (func (export "balance") (result i64) (i64.const 42)))
  (core instance $main (instantiate $Main))
  (func $balance (result u64) (canon lift (core func $main "balance")))
  (instance $ledger (export "balance" (func $balance)))
  (export "acme:billing/ledger@1.2.0" (instance $ledger)))
