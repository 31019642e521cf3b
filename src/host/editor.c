/* Lines from a terminal through libedit's wide interface, from elsewhere through getline.
 *
 * Rules: one editor in the process, made at the first read. Text is UTF-8 on Lua's side and wchar_t
 * on libedit's; the conversions are ours, so that the locale cannot lose a character. A pasted text
 * (bracketed paste) goes in whole, new lines included. ^C leaves the line. An entry of the history
 * may have several lines.
 */
#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "bind/bind.h"
#include "core/alloc.h"
#include "core/interrupt.h"
#include "core/library.h"
#include "host/host.h"

/* clang-format off */
#define EDIT_FUNCTIONS(F) \
    F(el_init) F(el_resize) F(el_source) F(el_wgetc) F(el_wgets) F(el_winsertstr) F(el_wline) \
    F(el_wset) F(history_w) F(history_winit)
/* clang-format on */
SQN_LIBRARY(edit, "libedit.so.2", EDIT_FUNCTIONS);

enum { HISTORY_ENTRIES = 2000, PROMPT_ROOM = 64, PASTE_CHUNK = 1024 };

static const wchar_t paste_end[] = L"\033[201~";
enum { PASTE_END = 6 };

static struct {
    EditLine *line;    /* owned until the process ends */
    HistoryW *history; /* owned until the process ends */
    lua_State *L;      /* of the read that is going on; its stack has the completer at 2 */
    wchar_t prompt[PROMPT_ROOM];
    bool pastes; /* bracketed paste is on */
} editor;

/* The code point at *text, which moves behind it; broken bytes give U+FFFD. */
static wchar_t take_code(const unsigned char **text) {
    const unsigned char *s = *text;
    int more = s[0] < 0x80   ? 0
               : s[0] < 0xC2 ? -1
               : s[0] < 0xE0 ? 1
               : s[0] < 0xF0 ? 2
               : s[0] < 0xF5 ? 3
                             : -1;
    unsigned code = more == 0   ? s[0]
                    : more == 1 ? s[0] & 0x1Fu
                    : more == 2 ? s[0] & 0xFu
                                : s[0] & 7u;
    *text = s + 1;
    if (more < 0) return 0xFFFD;
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0xFFFD; /* a NUL ends here too */
        code = code << 6 | (s[i] & 0x3Fu);
    }
    *text = s + more + 1;
    return (wchar_t)code;
}

/* [-0, +1, e] The same text as wide characters; lies on Lua's stack. */
static wchar_t *push_wide(lua_State *L, const char *text) {
    wchar_t *wide = lua_newuserdatauv(L, (strlen(text) + 1) * sizeof *wide, 0);
    size_t n = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s;) wide[n++] = take_code(&s);
    wide[n] = L'\0';
    return wide;
}

static void add_narrow(luaL_Buffer *b, const wchar_t *wide, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned c = (unsigned)wide[i];
        if (c < 0x80) {
            luaL_addchar(b, (char)c);
            continue;
        }
        int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        luaL_addchar(b, (char)((more == 1 ? 0xC0u : more == 2 ? 0xE0u : 0xF0u) | c >> (6 * more)));
        for (int k = more - 1; k >= 0; k--) luaL_addchar(b, (char)(0x80u | (c >> (6 * k) & 0x3Fu)));
    }
}

static wchar_t *prompt(EditLine *line) {
    (void)line;
    return editor.prompt;
}

/* One byte; false at the end of input and after a signal, also one that came just before. */
static bool read_byte(unsigned char *out) {
    sigset_t ours, before;
    struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    int n = -1;
    while (!sqn_interrupted() && (n = ppoll(&ready, 1, NULL, &before)) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n > 0 && !sqn_interrupted() && read(STDIN_FILENO, out, 1) == 1;
}

/* Bracketed paste. Switched on at the first character of a line: by then libedit has the terminal
 * raw, so that it also says to a program which types that the line is ready. */
static void switch_paste(bool on) {
    if (on == editor.pastes) return;
    editor.pastes = on;
    fputs(on ? "\033[?2004h" : "\033[?2004l", stdout);
    fflush(stdout);
}

/* libedit's way to get a character: 1, 0 at the end, -1 after ^C. */
static int get_character(EditLine *line, wchar_t *out) {
    unsigned char bytes[5] = {0};
    (void)line;
    switch_paste(true);
    if (!read_byte(&bytes[0])) return sqn_interrupted() ? -1 : 0;
    int more = bytes[0] < 0xC2   ? 0
               : bytes[0] < 0xE0 ? 1
               : bytes[0] < 0xF0 ? 2
               : bytes[0] < 0xF5 ? 3
                                 : 0;
    for (int i = 1; i <= more; i++) {
        if (!read_byte(&bytes[i])) return sqn_interrupted() ? -1 : 0;
    }
    const unsigned char *s = bytes;
    *out = take_code(&s);
    return 1;
}

/* Bound to the start mark of a bracketed paste: takes all up to the end mark. */
static unsigned char paste(EditLine *line, int key) {
    wchar_t chunk[PASTE_CHUNK + 1];
    size_t n = 0, matched = 0;
    wchar_t c;
    (void)key;
    while (matched < PASTE_END && edit.el_wgetc(line, &c) == 1) {
        if (c == paste_end[matched]) {
            matched++;
            continue;
        }
        for (size_t i = 0; i < matched; i++) chunk[n++] = paste_end[i];
        matched = c == paste_end[0];
        if (!matched) chunk[n++] = c == L'\r' ? L'\n' : c;
        if (n + PASTE_END + 1 >= PASTE_CHUNK) {
            chunk[n] = L'\0';
            edit.el_winsertstr(line, chunk);
            n = 0;
        }
    }
    chunk[n] = L'\0';
    if (n > 0) edit.el_winsertstr(line, chunk);
    return CC_REFRESH;
}

/* complete(completer, LineInfoW *): calls the completer with what stands before the cursor. Gives
 * the text to insert, wide, and the list to show, or nil for each. */
static int l_complete(lua_State *L) {
    const LineInfoW *now = lua_touserdata(L, 2);
    luaL_Buffer b;
    lua_pushvalue(L, 1);
    luaL_buffinit(L, &b);
    add_narrow(&b, now->buffer, (size_t)(now->cursor - now->buffer));
    luaL_pushresult(&b);
    lua_call(L, 1, 2);
    const char *insert = lua_tostring(L, -2);
    if (insert != NULL)
        push_wide(L, insert);
    else
        lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* Bound to TAB. Nothing here raises: libedit's frames lie below. */
static unsigned char complete(EditLine *line, int key) {
    lua_State *L = editor.L;
    unsigned char what = CC_REFRESH_BEEP;
    int top = lua_gettop(L);
    (void)key;
    lua_pushcfunction(L, l_complete);
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, (void *)(uintptr_t)edit.el_wline(line));
    if (lua_pcall(L, 2, 2, 0) == LUA_OK) {
        const wchar_t *insert = lua_touserdata(L, -2);
        if (lua_type(L, -1) == LUA_TSTRING) {
            fprintf(stdout, "\n%s\n", lua_tostring(L, -1));
            what = CC_REDISPLAY;
        }
        if (insert != NULL && *insert != L'\0') {
            edit.el_winsertstr(line, insert);
            if (what != CC_REDISPLAY) what = CC_REFRESH;
        }
    }
    lua_settop(L, top);
    return what;
}

static void bind_keys(EditLine *line) {
    static const wchar_t *const keys[][2] = {
        {L"\t", L"sqlune-complete"},         {L"\\e[200~", L"sqlune-paste"},
        {L"^R", L"em-inc-search-prev"},      {L"^W", L"ed-delete-prev-word"},
        {L"\\e[3~", L"ed-delete-next-char"}, {L"\\e[1;5C", L"em-next-word"},
        {L"\\e[1;5D", L"ed-prev-word"},      {L"\\e[H", L"ed-move-to-beg"},
        {L"\\e[F", L"ed-move-to-end"},       {L"\\e[1~", L"ed-move-to-beg"},
        {L"\\e[4~", L"ed-move-to-end"},
    };
    edit.el_wset(line, EL_ADDFN, L"sqlune-complete", L"complete a name", complete);
    edit.el_wset(line, EL_ADDFN, L"sqlune-paste", L"take a pasted text", paste);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        edit.el_wset(line, EL_BIND, keys[i][0], keys[i][1], NULL);
}

static void open_editor(lua_State *L) {
    HistEventW event;
    sqn_err e = SQN_ERR_INIT;
    if (sqn_library_open(&edit_library, &e) != SQN_OK) bind_raise(L, &e);
    editor.line = edit.el_init("sqlune", stdin, stdout, stderr);
    editor.history = edit.history_winit();
    if (editor.line == NULL || editor.history == NULL) luaL_error(L, "out of memory");
    edit.history_w(editor.history, &event, H_SETSIZE, HISTORY_ENTRIES);
    edit.history_w(editor.history, &event, H_SETUNIQUE, 1);
    edit.el_wset(editor.line, EL_PROMPT, prompt);
    edit.el_wset(editor.line, EL_EDITOR, L"emacs");
    edit.el_wset(editor.line, EL_HIST, edit.history_w, editor.history);
    edit.el_wset(editor.line, EL_GETCFN, get_character);
    edit.el_wset(editor.line, EL_SIGNAL, 0); /* ^C is the host's */
    bind_keys(editor.line);
    edit.el_source(editor.line, NULL); /* ~/.editrc */
}

static int read_edited(lua_State *L, const char *text) {
    int n = 0;
    if (editor.line == NULL) open_editor(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL); /* complete runs above what lies here */
    const wchar_t *wide = push_wide(L, text);
    wcsncpy(editor.prompt, wide, PROMPT_ROOM - 1);
    editor.L = L;
    edit.el_resize(editor.line);
    const wchar_t *line = edit.el_wgets(editor.line, &n);
    switch_paste(false);
    if (sqn_interrupted()) {
        if (sqn_interrupt_signal() != 2) return bind_raise_interrupt(L);
        host_interrupt_reset(L);
        fputs("^C\n", stdout);
        lua_pushboolean(L, 0);
        return 1;
    }
    if (line == NULL || n <= 0) return 0;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    add_narrow(&b, line, (size_t)n - (line[n - 1] == L'\n'));
    luaL_pushresult(&b);
    return 1;
}

static int read_plain(lua_State *L, const char *text) {
    luaL_Buffer b;
    int c = EOF;
    fputs(text, stdout);
    fflush(stdout);
    luaL_buffinit(L, &b);
    while ((c = getc(stdin)) != EOF && c != '\n') luaL_addchar(&b, (char)c);
    luaL_pushresult(&b);
    if (c == EOF && lua_rawlen(L, -1) == 0) return 0;
    return 1;
}

/* read(prompt, completer): a line; false after ^C; nothing at the end of input. */
static int l_read(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    return isatty(STDIN_FILENO) ? read_edited(L, text) : read_plain(L, text);
}

/* remember(entry): what ↑ and ^R find. */
static int l_remember(lua_State *L) {
    HistEventW event;
    const wchar_t *entry = push_wide(L, luaL_checkstring(L, 1));
    if (!isatty(STDIN_FILENO)) return 0;
    if (editor.line == NULL) open_editor(L);
    edit.history_w(editor.history, &event, H_ENTER, entry);
    return 0;
}

static const luaL_Reg functions[] = {{"read", l_read}, {"remember", l_remember}, {NULL, NULL}};

void host_push_editor(lua_State *L) { luaL_newlib(L, functions); }
