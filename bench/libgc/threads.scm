;; bench/libgc/threads.scm -- eight threads that cons, under Guile.
;; Argument: how many lists each makes.

(use-modules (ice-9 threads))

(define n (string->number (cadr (command-line))))

(define (work seed)
  (let again ((i 0) (sum 0))
    (if (= i n)
        sum
        (let ((numbers (map (lambda (x) (* x seed)) (iota 200))))
          (again (+ i 1)
                 (modulo (+ sum (apply + (reverse numbers))
                            (vector-length (list->vector numbers)))
                         1000003))))))

(define threads
  (map (lambda (seed) (call-with-new-thread (lambda () (work seed)))) (iota 8)))
(format #t "~a\n" (map join-thread threads))
