;; C from Scheme: pointers, memory with finalizers, callbacks.
(use-modules (suite) (srfi srfi-1) (system foreign) (rnrs bytevectors) (srfi srfi-4))
(define libc (dynamic-link))
(define (c-function result name . arguments)
  (pointer->procedure result (dynamic-func name libc) arguments))
(define strlen (c-function size_t "strlen" '*))
(define malloc (c-function '* "malloc" size_t))
(define free-it (dynamic-func "free" libc))
(define qsort (c-function void "qsort" '* size_t size_t '*))
(expect "lengths of strings given to C" 0
        (count (lambda (i) (not (= i (strlen (string->pointer
                                              (make-string i #\a))))))
               (iota 2000)))
(expect "memory of malloc, freed by finalizers" 2000
        (count (lambda (i)
                 (let* ((p (make-pointer (pointer-address (malloc 100))
                                         free-it))
                        (b (pointer->bytevector p 100)))
                   (bytevector-u8-set! b 99 (modulo i 256))
                   (if (zero? (modulo i 200)) (gc))
                   (= (bytevector-u8-ref b 99) (modulo i 256))))
               (iota 2000)))
(expect "C sorts with a comparison in Scheme" '(1 2 3 5 8 9)
        (let* ((v (s32vector 5 9 1 8 2 3))
               (compare (procedure->pointer int
                          (lambda (a b)
                            (churn 1000)
                            (- (bytevector-s32-native-ref
                                (pointer->bytevector a 4) 0)
                               (bytevector-s32-native-ref
                                (pointer->bytevector b 4) 0)))
                          '(* *))))
          (qsort (bytevector->pointer v) 6 4 compare)
          (gc)
          (s32vector->list v)))
(expect "a byte vector lives by a pointer into it" 50000
        (let ((pointers (map (lambda (i)
                               (bytevector->pointer (make-bytevector 100 1)))
                             (iota 500))))
          (churn 300000) (gc)
          (fold (lambda (p sum)
                  (+ sum (apply + (bytevector->u8-list
                                   (pointer->bytevector p 100)))))
                0 pointers)))
(expect "C structs" '(1 2.5 7)
        (parse-c-struct (make-c-struct (list int8 double uint64) '(1 2.5 7))
                        (list int8 double uint64)))
(finish)
