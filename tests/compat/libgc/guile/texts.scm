;; Trees of text: XML, formatted output, pretty printing, dates.
(use-modules (suite) (srfi srfi-1) (sxml simple) (sxml xpath) (ice-9 format)
             (ice-9 pretty-print) (srfi srfi-19) (texinfo))
(define document
  `(doc ,@(map (lambda (i) `(item (@ (id ,(number->string i)))
                                  (name ,(format #f "item <~a> & more" i))
                                  ,@(if (even? i) '((even)) '())))
               (iota 500))))
(define text (with-output-to-string (lambda () (sxml->xml document))))
(expect "a document written and read again" #t
        (equal? `(*TOP* ,document) (xml->sxml text)))
(expect "paths into it" '(250 "item <498> & more")
        (let ((even ((sxpath '(// (item (even)))) `(*TOP* ,document))))
          (list (length even)
                (last ((sxpath '(name *text*)) (last even))))))
(expect "formatted numbers" "   42|2a|101010|XLII|forty-two| 3.14|1,000,000"
        (format #f "~5d|~x|~b|~@r|~r|~5,2f|~:d" 42 42 42 42 42 3.14159 1000000))
(expect "formatted lists, 2,000 times" 10000
        (let loop ((i 0) (n 0))
          (if (= i 2000) n
              (loop (+ i 1)
                    (+ n (string-length (format #f "~{~a~^,~}" '(1 2 3))))))))
(expect "pretty printing is reading's inverse" #t
        (equal? document
                (with-input-from-string
                    (with-output-to-string (lambda () (pretty-print document)))
                  read)))
(expect "a date, there and back" "2001-09-09T01:46:40Z"
        (let* ((d (time-utc->date (make-time time-utc 0 1000000000) 0))
               (s (date->string d "~Y-~m-~dT~H:~M:~SZ")))
          (date->string (string->date s "~Y-~m-~dT~H:~M:~S") "~Y-~m-~dT~H:~M:~SZ")))
(expect "texinfo" '(para "one " (code "two"))
        (cadr (texi-fragment->stexi "one @code{two}")))
(finish)
