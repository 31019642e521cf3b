/* Runs a fuzzer's function over files, for builds without libFuzzer: `make test` replays the
 * corpus. */
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (f == NULL) {
            perror(argv[i]);
            return 1;
        }
        unsigned char *data = malloc(1 << 20);
        size_t n = fread(data, 1, 1 << 20, f);
        fclose(f);
        LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    printf("%d files\n", argc - 1);
    return 0;
}
