; threads.scm -- binary trees in several threads. Arguments: threads (2),
; depth (12).
(define args (map string->number (command-line)))
(define k (if (pair? args) (car args) 2))
(define depth (if (and (pair? args) (pair? (cdr args))) (cadr args) 12))
(define (make d) (if (= d 0) (cons '() '()) (cons (make (- d 1)) (make (- d 1)))))
(define (check t) (if (null? (car t)) 1 (+ 1 (check (car t)) (check (cdr t)))))
(define start (current-milliseconds))
(define threads
  (map (lambda (i)
         (thread-start
          (lambda ()
            (do ((i 0 (+ i 1)) (sum 0 (+ sum (check (make depth))))) ((= i 60) sum)))))
       (iota k)))
(display (string "checks " (map thread-join threads) "\n"))
(display (string "threads: " (- (current-milliseconds) start) " ms\n"))
