;;; bench/libgc/hash.lisp -- hash tables and strings under ECL.
;;; Argument: how many keys.

(defun key (i)
  (format nil "key-~d-~x" i (* i 7919)))

(let ((n (parse-integer (car (last (ext:command-args)))))
      (table (make-hash-table :test 'equal))
      (by-length (make-hash-table)))
  (dotimes (i n)
    (setf (gethash (key i) table) (list i (string-upcase (key i)))))
  (dotimes (i n)
    (when (oddp i)
      (remhash (key i) table)))
  (maphash (lambda (k value)
             (push (concatenate 'string k "=" (second value))
                   (gethash (length k) by-length)))
           table)
  (let ((words (loop for v being the hash-values of by-length append v)))
    (format t "~d keys, ~d words, ~d characters, first ~a~%"
            (hash-table-count table) (length words)
            (reduce #'+ words :key #'length)
            (first (sort words #'string<)))))
