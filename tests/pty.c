/* A terminal for tests: pty COMMAND [arguments] < script > what the command printed.
 *
 * Rules: the script is read line by line. "> text" types text (\n \t \e \\ \xHH; no newline of its
 * own), "? text" waits until text has been printed after what the last wait found, ". n" sleeps n
 * milliseconds, "z n" sleeps and reads nothing, so that the command's writes wait. After the script
 * it waits for the command's end. Exits with its status (128 + n for a signal), or 99 when a wait
 * took longer than 20 s; stderr says which.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

typedef struct terminal {
    int fd;
    pid_t child;
    char *seen; /* owned: all output, NUL-ended */
    size_t n, found;
    bool over;
} terminal;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Reads what the command prints within ms milliseconds; false when nothing came. */
static bool listen_for(terminal *t, int ms) {
    char bytes[4096];
    struct pollfd ready = {.fd = t->fd, .events = POLLIN};
    if (t->over || poll(&ready, 1, ms) <= 0) return false;
    ssize_t n = read(t->fd, bytes, sizeof bytes);
    if (n <= 0) {
        t->over = true; /* EIO: the command closed its side */
        return false;
    }
    char *grown = realloc(t->seen, t->n + (size_t)n + 1);
    if (grown == NULL) exit(98);
    t->seen = grown;
    memcpy(t->seen + t->n, bytes, (size_t)n);
    t->n += (size_t)n;
    t->seen[t->n] = '\0';
    return true;
}

static size_t unescape(char *s) { /* in place; gives the length */
    char *out = s, *start = s;
    for (; *s; s++) {
        if (*s != '\\') {
            *out++ = *s;
            continue;
        }
        s++;
        char hex[3] = {s[0], s[0] ? s[1] : '\0', '\0'};
        if (*s == 'x') {
            hex[0] = s[1];
            hex[1] = s[1] ? s[2] : '\0';
            *out++ = (char)strtol(hex, NULL, 16);
            s += 2;
        } else {
            *out++ = (char)(*s == 'n' ? '\n' : *s == 't' ? '\t' : *s == 'e' ? 27 : *s);
        }
    }
    return (size_t)(out - start);
}

static bool await(terminal *t, const char *text, size_t n) {
    double end = now_ms() + PATIENCE_MS;
    for (;;) {
        const char *at =
            t->n > t->found ? memmem(t->seen + t->found, t->n - t->found, text, n) : NULL;
        if (at != NULL) {
            t->found = (size_t)(at - t->seen) + n;
            return true;
        }
        if (t->over || now_ms() > end) return false;
        listen_for(t, 100);
    }
}

static bool type_text(terminal *t, const char *text, size_t n) {
    while (n > 0) {
        ssize_t k = write(t->fd, text, n);
        if (k < 0 && errno != EINTR) return false;
        if (k > 0) text += k, n -= (size_t)k;
        while (listen_for(t, 0)) {
        }
    }
    return true;
}

static bool play(terminal *t, char *line) {
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0') return true;
    char *text = line[1] == ' ' ? line + 2 : line + 1;
    if (line[0] == '.') {
        for (double end = now_ms() + atof(text); now_ms() < end;) {
            if (!listen_for(t, 10) && t->over) break;
        }
        return true;
    }
    if (line[0] == 'z') {
        poll(NULL, 0, atoi(text));
        return true;
    }
    size_t n = unescape(text);
    if (line[0] == '>') return type_text(t, text, n);
    return await(t, text, n);
}

int main(int argc, char **argv) {
    terminal t = {0};
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char line[65536];
    int status = 0, result = 0;
    if (argc < 2) return 98;
    t.child = forkpty(&t.fd, NULL, NULL, &size);
    if (t.child < 0) return 98;
    if (t.child == 0) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (result == 0 && fgets(line, sizeof line, stdin) != NULL) {
        char shown[200];
        snprintf(shown, sizeof shown, "%.199s", line);
        if (play(&t, line)) continue;
        fprintf(stderr, "pty: this failed: %s\n", shown);
        result = 99;
    }
    for (double end = now_ms() + PATIENCE_MS; result == 0 && !t.over && now_ms() < end;)
        listen_for(&t, 100);
    if (result != 0 || !t.over) kill(t.child, SIGKILL);
    waitpid(t.child, &status, 0);
    fwrite(t.seen, 1, t.n, stdout);
    free(t.seen);
    if (result != 0) return result;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
