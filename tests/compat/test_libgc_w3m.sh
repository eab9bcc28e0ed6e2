#!/bin/bash
# w3m: some MB of HTML, rendered to the same text on ours as on Debian's libgc.
. "$(dirname "$0")/libgc.sh"
need_client w3m
need awk
HOME=$work
export HOME

# page KIND ROWS -- HTML to standard output; the same every time.
page() {
  awk -v kind="$1" -v rows="$2" 'BEGIN {
    x = 1
    print "<html><head><title>" kind "</title></head><body>"
    if (kind == "table") print "<table border=1>"
    for (i = 1; i <= rows; i++) {
      x = (x * 69069 + 5) % 2147483648
      word = "w" x " "
      if (kind == "table") {
        if (i % 200 == 0) print "</table><table>"
        printf "<tr><td>%d<td align=right>%s<td rowspan=1><b>%s</b>", i, x, word
        if (i % 50 == 0)
          printf "<td><table><tr><td>in<td>%s</table>", word
        print "</tr>"
      } else if (kind == "list") {
        if (i % 100 == 0) print "<ol><li>a<ul><li>b<dl><dt>c<dd>d</dl></ul></ol>"
        printf "<ul><li>%s &amp; &eacute;&#%d;&lt;%d&gt;</ul>\n", word,
          192 + x % 60, i
      } else if (kind == "nested") {
        printf "<div><blockquote><em><a href=\"u%d\">%s</a></em>", i, word
        if (i % 20 == 0)
          for (j = 0; j < 20; j++) printf "</blockquote></div>"
      } else if (kind == "line") {
        for (j = 0; j < 300; j++) printf "%s", word
        printf "<br><pre>%s\t%s</pre>", word, word
      } else if (kind == "form") {
        printf "<form action=x><input name=a%d value=\"%s\"><select>", i, word
        for (j = 0; j < 5; j++) printf "<option value=%d>%s%d", j, word, j
        printf "</select><textarea>%s</textarea></form><hr>\n", word
      }
    }
    print "</body></html>"
  }'
}

page table 12000 >table.html
page list 12000 >list.html
page nested 3000 >nested.html
page line 150 >line.html
page form 1000 >form.html
for kind in table list nested line form; do
  compare_gc "$kind" 20 w3m -dump -T text/html -cols 100 "$kind.html"
  [ -s ours.out ] || fail "$kind: nothing was printed"
done
compare_gc "marked up" 20 w3m -dump_source -T text/html list.html
compare_gc "with links numbered" 20 w3m -dump -o display_link_number=1 \
  -T text/html nested.html
compare_gc "from a pipe, in UTF-8" 20 sh -c \
  'w3m -dump -T text/html -I UTF-8 -O UTF-8 -cols 40 <list.html'
compare_gc "plain text of one long line" 20 sh -c \
  'head -c 2000000 line.html | tr -d "\n" | w3m -dump -T text/plain'
exit 0
