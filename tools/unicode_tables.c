/* Writes src/text/unicode_tables.c: where the character classes that Hugging Face tokenizers uses
 * differ from those of the installed utf8proc.
 *
 * Use: gcc -I/usr/include/cjson tools/unicode_tables.c -lcjson -lutf8proc -o /tmp/ut &&
 *      /tmp/ut unicode_classes.json > src/text/unicode_tables.c
 * The JSON file holds inclusive ranges of code points under "L", "N" and "nfc_marks".
 */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

enum { LAST = 0x10FFFF };
static unsigned char wanted[LAST + 1];

static void read_ranges(const cJSON *root, const char *key) {
    for (int c = 0; c <= LAST; c++) wanted[c] = 0;
    const cJSON *range;
    cJSON_ArrayForEach(range, cJSON_GetObjectItemCaseSensitive(root, key)) {
        int first = cJSON_GetArrayItem(range, 0)->valueint;
        int last = cJSON_GetArrayItem(range, 1)->valueint;
        for (int c = first; c <= last && c <= LAST; c++) wanted[c] = 1;
    }
}

static int is_letter(int c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

static int is_number(int c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

static int is_mark(int c) { return utf8proc_get_property(c)->combining_class != 0; }

/* The code points whose `wanted` flag is `flag` while utf8proc says the opposite. */
static void print_difference(const char *name, const char *what, int (*has)(int), int flag) {
    int ranges = 0, column = 0;
    printf("\n/* %s */\nconst sqn_unicode_range %s[] = {", what, name);
    for (int c = 0; c <= LAST; c++) {
        if (wanted[c] != flag || has(c) == flag) continue;
        int last = c;
        while (last < LAST && wanted[last + 1] == flag && has(last + 1) != flag) last++;
        printf("%s{0x%X, 0x%X},", column++ % 5 == 0 ? "\n    " : " ", (unsigned)c, (unsigned)last);
        ranges++;
        c = last;
    }
    printf("\n};\nconst size_t %s_count = %d;\n", name, ranges);
}

int main(int argc, char **argv) {
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    static char text[1 << 20];
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    cJSON *root = cJSON_ParseWithLength(text, n);
    if (root == NULL) {
        fprintf(stderr, "use: %s unicode_classes.json\n", argv[0]);
        return 2;
    }
    printf("/* Differences of tokenizers' Unicode data from utf8proc %s (Unicode %s); made by\n"
           " * tools/unicode_tables.c. Classes are those of Unicode 16, NFC that of Unicode 9. */\n"
           "#include \"text/unicode.h\"\n",
           utf8proc_version(), utf8proc_unicode_version());
    read_ranges(root, "L");
    print_difference("sqn_unicode_more_letters", "Letters that utf8proc does not know.", is_letter,
                     1);
    read_ranges(root, "N");
    print_difference("sqn_unicode_more_numbers", "Numbers that utf8proc does not know.", is_number,
                     1);
    read_ranges(root, "nfc_marks");
    print_difference("sqn_unicode_unordered_marks",
                     "Marks younger than Unicode 9: their combining class counts as 0.", is_mark,
                     0);
    cJSON_Delete(root);
    return 0;
}
