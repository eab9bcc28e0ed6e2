;;; suite.scm -- expectations of the subjects beside it. Each prints one line
;;; which is the same on every collector; `finish` tells by the exit status.
(define-module (suite)
  #:use-module (ice-9 ftw)
  #:use-module (ice-9 rdelim)
  #:use-module (ice-9 threads)
  #:export (expect expect-error finish churn numbers-from with-threads))

(define failures 0)

(define (say good? sentence value)
  (unless good? (set! failures (+ failures 1)))
  (format #t "~a: ~a: ~s~%" (if good? "as expected" "WRONG") sentence value)
  (force-output))

;; The expression's value is equal? to the expected one.
(define-syntax-rule (expect sentence expected expression)
  (let ((value expression)) (say (equal? value expected) sentence value)))

;; The expression leaves with an error of this key.
(define-syntax-rule (expect-error sentence expected expression)
  (let ((key (catch #t (lambda () expression 'none) (lambda (k . rest) k))))
    (say (eq? key expected) sentence key)))

(define (finish) (exit (if (zero? failures) 0 1)))

;; Allocate n pairs and strings that nothing keeps.
(define (churn n)
  (let loop ((i 0) (l '()))
    (if (< i n)
        (loop (+ i 1) (if (zero? (modulo i 100)) '() (cons (make-string 9) l))))))

;; A deterministic stream of numbers: (next! limit) is below limit.
(define (numbers-from seed)
  (lambda (limit)
    (set! seed (modulo (+ (* seed 1103515245) 12345) 2147483648))
    (modulo (quotient seed 256) limit)))

;; Guile's own threads in the kernel's eyes; the collector's have other names.
(define (tasks)
  (define (name-of task)
    (catch #t
      (lambda () (call-with-input-file
                     (string-append "/proc/self/task/" task "/comm") read-line))
      (lambda _ #f)))
  (let ((own (name-of (number->string (getpid)))))
    (length (filter (lambda (task) (equal? own (name-of task)))
                    (scandir "/proc/self/task")))))

;; The values of (proc 0) ... (proc (- n 1)), each in a thread of its own, all
;; at the same time. No collection may run while a thread begins or ends: Guile
;; 3.0.8 walks the stacks of such threads though they are not there yet or not
;; any more, which on any collector crashes now and then.
(define (with-threads n proc)
  (define lock (make-mutex))
  (define changed (make-condition-variable))
  (define begun 0)
  (define ended 0)
  (define stage 'birth)
  (define (tell change)
    (with-mutex lock (change) (broadcast-condition-variable changed)))
  (define (await ready?)
    (with-mutex lock
      (let wait ()
        (unless (ready?) (wait-condition-variable changed lock) (wait)))))
  (define (run i)
    (tell (lambda () (set! begun (+ begun 1))))
    (await (lambda () (eq? stage 'work)))
    (let ((value (proc i)))
      (tell (lambda () (set! ended (+ ended 1))))
      (await (lambda () (eq? stage 'death)))
      value))
  (gc-disable)
  (let ((threads (map (lambda (i) (call-with-new-thread (lambda () (run i))))
                      (iota n))))
    (await (lambda () (= begun n)))
    (gc-enable)
    (tell (lambda () (set! stage 'work)))
    (await (lambda () (= ended n)))
    (gc-disable)
    (let ((others (- (tasks) n)))
      (tell (lambda () (set! stage 'death)))
      (let ((values (map join-thread threads)))
        (let wait ((patience 400))
          (when (and (> patience 0) (> (tasks) others))
            (usleep 5000)
            (wait (- patience 1))))
        (gc-enable)
        values))))
