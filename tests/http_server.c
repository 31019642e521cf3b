/* A web server for tests: http_server FOLDER. Writes its port to FOLDER/port, keeps the k-th
 * request as FOLDER/request-k and answers it with FOLDER/answer-k, which is the answer's every
 * byte; without such a file it answers with FOLDER/answer, and without that it hangs up. A first
 * line "wait N" is not sent: the answer comes N milliseconds later. Ends with its parent, or after
 * a minute without work.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 20, PATIENCE_MS = 60000, SLICE_MS = 200 };

static char buffer[ROOM + 1];

static void save(const char *folder, const char *name, int k, const char *bytes, size_t n) {
    char path[4096], draft[4200];
    snprintf(path, sizeof path, k > 0 ? "%s/%s-%d" : "%s/%s", folder, name, k);
    snprintf(draft, sizeof draft, "%s.draft", path);
    FILE *f = fopen(draft, "wb");
    if (f == NULL) exit(1);
    fwrite(bytes, 1, n, f);
    fclose(f);
    rename(draft, path);
}

/* Headers, and as much body as they announce. */
static size_t read_request(int fd) {
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, buffer + n, ROOM - n);
        if (got <= 0) return n;
        n += (size_t)got;
        buffer[n] = '\0';
        const char *end = strstr(buffer, "\r\n\r\n"),
                   *length = strcasestr(buffer, "content-length:");
        if (end == NULL) continue;
        size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
        if (n >= (size_t)(end + 4 - buffer) + body) return n;
    }
}

static void answer(int fd, const char *folder, int k) {
    char path[4096];
    snprintf(path, sizeof path, "%s/answer-%d", folder, k);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        snprintf(path, sizeof path, "%s/answer", folder);
        f = fopen(path, "rb");
    }
    if (f == NULL) return;
    size_t n = fread(buffer, 1, ROOM, f), from = 0;
    buffer[n] = '\0';
    fclose(f);
    if (strncmp(buffer, "wait ", 5) == 0) {
        const char *line = strchr(buffer, '\n');
        usleep((useconds_t)atoi(buffer + 5) * 1000);
        from = line ? (size_t)(line + 1 - buffer) : n;
    }
    while (from < n) {
        ssize_t put = send(fd, buffer + from, n - from, MSG_NOSIGNAL);
        if (put <= 0) return;
        from += (size_t)put;
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, size) != 0 ||
        listen(listener, 8) != 0 || getsockname(listener, (struct sockaddr *)&at, &size) != 0)
        return 1;
    char port[16];
    int n = snprintf(port, sizeof port, "%d\n", ntohs(at.sin_port));
    save(argv[1], "port", 0, port, (size_t)n);
    for (int k = 1;; k++) {
        char path[4096];
        struct pollfd p = {listener, POLLIN, 0};
        snprintf(path, sizeof path, "%s/port", argv[1]);
        for (int waited = 0; poll(&p, 1, SLICE_MS) == 0; waited += SLICE_MS)
            if (waited > PATIENCE_MS || access(path, F_OK) != 0) return 0;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) continue;
        size_t got = read_request(fd);
        save(argv[1], "request", k, buffer, got);
        answer(fd, argv[1], k);
        close(fd);
    }
}
