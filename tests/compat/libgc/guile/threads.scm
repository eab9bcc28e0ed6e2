;; 8 threads: allocation, locks, conditions, joins, futures, per-thread values.
(use-modules (suite) (srfi srfi-1) (ice-9 threads)
             (ice-9 futures) (ice-9 atomic))
;; A loop, as all below: no stack should grow. When one does while others
;; collect, Guile 3.0.8 may give back pages that are in use again.
(define (build n)
  (let loop ((i n) (l '()))
    (if (zero? i) l (loop (- i 1) (cons (cons i (number->string i)) l)))))
(define (good? l) (every (lambda (p) (equal? (cdr p) (number->string (car p)))) l))
(expect "8 threads build lists, check them and hand them over" 8
        (count good?
               (with-threads 8
                 (lambda (i)
                   (let loop ((round 0) (l (build 2000)))
                     (cond ((= round 10) l)
                           ((good? l) (loop (+ round 1) (build 2000)))
                           (else '((1 . "bad")))))))))
(expect "a counter behind a lock" 16000
        (let ((lock (make-mutex)) (n 0))
          (with-threads 8
            (lambda (i) (do ((j 0 (+ j 1))) ((= j 2000))
                          (with-mutex lock (set! n (+ n (length (list 1))))))))
          n))
(expect "an atomic box" 16000
        (let ((box (make-atomic-box '())))
          (with-threads 8
            (lambda (i)
              (do ((j 0 (+ j 1))) ((= j 2000))
                (let retry ((old (atomic-box-ref box)))
                  (let ((seen (atomic-box-compare-and-swap! box old
                                                            (cons i old))))
                    (unless (eq? seen old) (retry seen)))))))
          (length (atomic-box-ref box))))
(expect "a queue between producers and consumers" 199990000
        (let ((lock (make-mutex))
              (filled (make-condition-variable))
              (queue '()) (sum 0) (left 20000) (next -1))
          (define (produce)
            (let loop ()
              (let ((i (with-mutex lock
                         (if (= next 19999) #f
                             (begin (set! next (+ next 1)) next)))))
                (when i
                  (let ((item (list i (number->string i))))
                    (with-mutex lock
                      (set! queue (cons item queue))
                      (signal-condition-variable filled)))
                  (loop)))))
          (define (consume)
            (let loop ()
              (when (with-mutex lock
                      (let wait ()
                        (cond ((zero? left)
                               (broadcast-condition-variable filled) #f)
                              ((null? queue)
                               (wait-condition-variable filled lock) (wait))
                              (else
                               (let ((item (car queue)))
                                 (set! queue (cdr queue))
                                 (set! left (- left 1))
                                 (set! sum (+ sum (string->number
                                                   (cadr item))))
                                 #t)))))
                (loop))))
          (with-threads 8 (lambda (i) (if (even? i) (produce) (consume))))
          sum))
;; The threads of futures begin while nothing collects, and stay.
(gc-disable)
(par-map 1+ (iota 100))
(gc-enable)
(expect "parallel maps" 40
        (let loop ((i 0) (n 0))
          (if (= i 40) n
              (loop (+ i 1)
                    (+ n (if (equal? (par-map (lambda (n) (length (build n)))
                                              '(100 200 300 400 500 600 700))
                                     '(100 200 300 400 500 600 700))
                             1 0))))))
(expect "500 futures" 124750
        (let loop ((i 0) (futures '()))
          (if (< i 500)
              (loop (+ i 1) (cons (future (length (build i))) futures))
              (fold (lambda (f sum) (+ sum (touch f))) 0 futures))))
(expect "parallel, letpar" '(1 2 (3 4))
        (call-with-values (lambda () (parallel 1 (begin (churn 1000) 2)
                                               (letpar ((a 3) (b 4))
                                                 (list a b))))
          list))
(expect "fluids and parameters are a thread's own" '(0 1 2 3 4 5 6 7)
        (let ((f (make-fluid #f)) (p (make-parameter #f)))
          (with-threads 8
            (lambda (i)
              (with-fluids ((f i))
                (parameterize ((p i))
                  (churn 10000)
                  (if (eqv? (fluid-ref f) (p)) (p) 'differ)))))))
(expect "160 short threads" 160
        (let loop ((i 0) (n 0))
          (if (= i 20) n
              (loop (+ i 1)
                    (+ n (length (with-threads 8 (lambda (i) (build 50)))))))))
(expect "a thread's error is its own" '(caught caught)
        (with-threads 2
          (lambda (i) (catch #t (lambda () (churn 10000) (error "here" i))
                        (lambda (key . rest) 'caught)))))
(expect "collections asked for by one while seven build" 8
        (length (with-threads 8 (lambda (i)
                                  (if (zero? i)
                                      (do ((j 0 (+ j 1))) ((= j 10)) (gc))
                                      (build 20000))))))
(finish)
