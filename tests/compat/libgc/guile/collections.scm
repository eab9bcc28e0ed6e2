;; What Guile lets a program see of its collector.
(use-modules (suite) (srfi srfi-1) (ice-9 vlist))
(define (stat key) (cdr (assq key (gc-stats))))
(expect "a collection is counted" #t
        (let ((before (stat 'gc-times))) (gc) (> (stat 'gc-times) before)))
(expect "what is allocated is counted" #t
        (let ((before (stat 'heap-total-allocated)))
          (churn 100000)
          (>= (- (stat 'heap-total-allocated) before) 1600000)))
(expect "the heap has a size" '(#t #t)
        (list (> (stat 'heap-size) 0)
              (<= 0 (stat 'heap-free-size) (stat 'heap-size))))
(expect "garbage does not make the heap grow" #t
        (begin
          (churn 500000)
          (let ((before (stat 'heap-size)))
            (churn 1000000)
            (< (stat 'heap-size) (+ (* 2 before) 20000000)))))
(expect "the hook after a collection runs" #t
        (let ((n 0))
          (add-hook! after-gc-hook (lambda () (set! n (+ n 1))))
          (gc)
          (let wait ((i 0)) (when (and (zero? n) (< i 100)) (gc) (churn 1000)
                                  (wait (+ i 1))))
          (> n 0)))
(expect "no collection while they are forbidden" 0
        (let ((before (begin (gc-disable) (stat 'gc-times))))
          (churn 300000)
          (let ((after (stat 'gc-times))) (gc-enable) (- after before))))
(expect "functional tables share their past" '(10000 9999 4999)
        (let* ((t (fold (lambda (i t) (vhash-consv i (list i) t)) vlist-null
                        (iota 10000)))
               (u (vhash-delv 5 t)))
          (gc)
          (list (vlist-length t) (vlist-length u)
                (cadr (vhash-assv 4999 u)))))
(expect "signals arrive between allocations" #t
        (let ((n 0))
          (sigaction SIGALRM (lambda (s) (set! n (+ n 1))))
          (setitimer ITIMER_REAL 0 2000 0 2000)
          (let loop ((i 0)) (when (and (< n 20) (< i 20000)) (churn 1000)
                                  (loop (+ i 1))))
          (setitimer ITIMER_REAL 0 0 0 0)
          (>= n 20)))
(finish)
