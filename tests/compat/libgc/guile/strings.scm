;; Strings: pointer-free objects behind small headers, shared substrings.
(use-modules (suite) (srfi srfi-1) (srfi srfi-13) (ice-9 regex))
(define words (map (lambda (i) (string-append "w" (number->string (* i 7919))))
                   (iota 20000)))
(define text (string-join words " "))
(expect "a text has the length of its words"
        (+ 19999 (fold + 0 (map string-length words))) (string-length text))
(expect "a split text is its words" #t
        (equal? words (string-split text #\space)))
(expect "substrings outlive the string they share" '(10000 "w158372081")
        (let ((kept (let ((big (string-append text "")))
                      (map (lambda (i) (substring big i (+ i 5))) (iota 10000)))))
          (churn 200000)
          (list (count (lambda (s i) (string=? s (substring text i (+ i 5))))
                       kept (iota 10000))
                (list-ref words 19999))))
(expect "ports collect characters" 100000
        (string-length
         (call-with-output-string
           (lambda (port)
             (do ((i 0 (+ i 1))) ((= i 100000))
               (write-char (integer->char (+ 97 (modulo i 26))) port))))))
(expect "wide characters" '(6 11 "ΛΆΜΔΑΣ")
        (let ((s "λάμδας"))
          (list (string-length s)
                (- (string-length (string-append s (list->string (reverse
                   (string->list s))))) 1)
                (string-upcase s))))
(expect "a narrow string becomes wide by one write" "a→c"
        (let ((s (make-string 3 #\a)))
          (string-set! s 1 #\→) (string-set! s 2 #\c) s))
(expect "sorted words" '("w0" "w100001132")
        (let ((sorted (sort words string<?))) (list (first sorted) (second sorted))))
(expect "matches of a regular expression" 325
        (length (list-matches "w[0-9]*99[0-9]* " (substring text 0 60000))))
(expect "substitution" "<w>-<x>-"
        (regexp-substitute/global #f "([a-z])([0-9]+)" "w12x3"
                                  'pre "<" 1 ">-" 'post))
(expect "growing one character at a time" 3000
        (let loop ((i 0) (s ""))
          (if (= i 3000) (string-length s) (loop (+ i 1) (string-append s "x")))))
(expect "reversed twice" #t
        (string=? text (string-reverse (string-reverse text))))
(expect "large strings come and go" 64
        (let loop ((i 0) (sum 0))
          (if (= i 64) sum
              (let ((s (make-string 1000000 #\y)))
                (loop (+ i 1) (if (char=? (string-ref s 999999) #\y)
                                  (+ sum 1) sum))))))
(finish)
