;; Ports: buffers, files, pipes, ports made of procedures, ports that are left.
(use-modules (suite) (srfi srfi-1) (ice-9 rdelim) (ice-9 binary-ports)
             (ice-9 textual-ports) (ice-9 popen) (rnrs bytevectors)
             ((rnrs io ports) #:select (make-custom-binary-input-port
                                        open-bytevector-output-port)))
(define file (string-append (or (getenv "PORTS_DIR") (getcwd)) "/ports."
                            (number->string (getpid))))
(expect "lines written are lines read" 20000
        (begin
          (call-with-output-file file
            (lambda (port)
              (do ((i 0 (+ i 1))) ((= i 20000))
                (format port "line ~a of the file~%" i))))
          (call-with-input-file file
            (lambda (port)
              (let loop ((n 0))
                (let ((line (read-line port)))
                  (cond ((eof-object? line) n)
                        ((string-prefix? (format #f "line ~a " n) line)
                         (loop (+ n 1)))
                        (else (list 'wrong line)))))))))
(expect "data written is data read" #t
        (let ((data (map (lambda (i) (list i (number->string i) (/ i 7) 'sym
                                           (vector i #\x 1.5)))
                         (iota 2000))))
          (call-with-output-file file (lambda (port) (write data port)))
          (equal? data (call-with-input-file file read))))
(expect "bytes" 256000
        (let ((bytes (u8-list->bytevector (iota 256))))
          (call-with-output-file file
            (lambda (port) (do ((i 0 (+ i 1))) ((= i 1000))
                             (put-bytevector port bytes)))
            #:binary #t)
          (bytevector-length (call-with-input-file file get-bytevector-all
                                                   #:binary #t))))
(expect "2,000 open ports left to the collector" 'ok
        (begin
          ((lambda () (do ((i 0 (+ i 1))) ((= i 2000))
                        (read-char (open-input-file file))
                        (if (zero? (modulo i 100)) (begin (gc) (churn 1000))))))
          'ok))
(expect "string ports, nested" "((a b) \"q\" 1.5)"
        (with-output-to-string
          (lambda () (write (with-input-from-string "((a b) \"q\" 1.5)" read)))))
(expect "a port made of a procedure" 30000
        (let* ((left 30000)
               (port (make-custom-binary-input-port "ours"
                       (lambda (bytes start n)
                         (let ((n (min n left 777)))
                           (do ((i 0 (+ i 1))) ((= i n))
                             (bytevector-u8-set! bytes (+ start i)
                                                 (modulo left 256)))
                           (set! left (- left n))
                           n))
                       #f #f #f)))
          (bytevector-length (get-bytevector-all port))))
(expect "soft ports" "abc!"
        (let ((seen '()))
          (let ((port (make-soft-port
                       (vector (lambda (c) (set! seen (cons (string c) seen)))
                               (lambda (s) (set! seen (cons s seen)))
                               (lambda () #f) #f #f) "w")))
            (display "abc" port) (write-char #\! port) (force-output port))
          (string-concatenate (reverse seen))))
(expect "a program's output through a pipe" "3000"
        (let* ((port (open-input-pipe
                      "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo $i"))
               (line (read-line port)))
          (close-pipe port) line))
(expect "a filter, both ways" 5000
        (let* ((port (open-pipe* OPEN_BOTH "cat"))
               (writer (lambda (i) (format port "~a~%" i) (force-output port)
                               (read-line port)))
               (n (count (lambda (i) (equal? (writer i) (number->string i)))
                         (iota 5000))))
          (close-pipe port) n))
(expect "a bytevector port gathers" 100000
        (call-with-values open-bytevector-output-port
          (lambda (port get)
            (do ((i 0 (+ i 1))) ((= i 100000)) (put-u8 port (modulo i 256)))
            (bytevector-length (get)))))
(expect "unread and peek" '(#\a #\z #\a)
        (call-with-input-string "abc"
          (lambda (port)
            (let ((a (peek-char port)))
              (unread-char #\z port)
              (let* ((b (read-char port)) (c (read-char port))) (list a b c))))))
(delete-file file)
(finish)
