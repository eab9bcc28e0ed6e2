;;; bench/libgc/trees.lisp -- binary trees, made and dropped, under ECL.
;;; Argument: the depth of the tree that stays.

(defun make-tree (depth)
  (if (zerop depth)
      (cons nil nil)
      (cons (make-tree (1- depth)) (make-tree (1- depth)))))

(defun nodes (tree)
  (if (null (car tree))
      1
      (+ 1 (nodes (car tree)) (nodes (cdr tree)))))

(let* ((depth (parse-integer (car (last (ext:command-args)))))
       (kept (make-tree depth)))
  (loop for d from 4 to depth by 4
        do (format t "depth ~d: ~d nodes~%" d
                   (loop repeat (ash 1 (+ 4 (- depth d)))
                         sum (nodes (make-tree d)))))
  (format t "kept: ~d nodes~%" (nodes kept)))
