/* Values of MySQL's text protocol as cells, and what its error numbers mean. */
#include "db/driver_mysql_cells.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINARY_CHARSET = 63 };

/* Reads `digits` digits; -1: they are not there. */
static int number(const char **s, int digits) {
    int x = 0;
    for (int i = 0; i < digits; i++, (*s)++) {
        if (**s < '0' || **s > '9') return -1;
        x = 10 * x + (**s - '0');
    }
    return x;
}

/* The digits behind a point as millionths; 0 if there is no point. */
static long fraction(const char **s) {
    long x = 0;
    int digits = 0;
    if (**s != '.') return 0;
    for ((*s)++; **s >= '0' && **s <= '9' && digits < 6; (*s)++, digits++) x = 10 * x + (**s - '0');
    for (; digits < 6; digits++) x *= 10;
    return x;
}

static bool is_date(int year, int month, int day) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || day < 1) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

/* "2020-01-02", perhaps " 03:04:05[.5…]". False: the calendar has no such day. */
static bool put_date(const char *s, bool with_time, char *room) {
    int year = number(&s, 4), month = *s++ == '-' ? number(&s, 2) : -1;
    if (month < 0) return false;
    int day = *s++ == '-' ? number(&s, 2) : -1;
    if (!is_date(year, month, day)) return false;
    int n = sprintf(room, "%04d-%02d-%02d", year, month, day);
    if (!with_time) return *s == '\0';
    int hour = *s++ == ' ' ? number(&s, 2) : -1;
    int minute = hour >= 0 && *s++ == ':' ? number(&s, 2) : -1;
    int second = minute >= 0 && *s++ == ':' ? number(&s, 2) : -1;
    if (second < 0 || hour > 23 || minute > 59 || second > 59) return false;
    long part = fraction(&s);
    n += sprintf(room + n, " %02d:%02d:%02d", hour, minute, second);
    if (part > 0) sprintf(room + n, ".%06ld", part);
    return *s == '\0';
}

/* TIME, "[-]HHH:MM:SS[.5…]", as Python writes a timedelta: the sign is on the days only. */
static bool put_interval(const char *s, char *room) {
    char *end;
    bool minus = *s == '-';
    s += minus;
    if (*s < '0' || *s > '9') return false;
    long hours = strtol(s, &end, 10);
    s = end;
    int minute = *s++ == ':' ? number(&s, 2) : -1;
    int second = minute >= 0 && *s++ == ':' ? number(&s, 2) : -1;
    if (second < 0 || hours > 100000) return false;
    const long long day = 86400000000;
    long long x = ((hours * 60LL + minute) * 60 + second) * 1000000 + fraction(&s);
    if (minus) x = -x;
    long long days = x >= 0 ? x / day : -((-x + day - 1) / day);
    x -= days * day;
    int n = 0;
    if (days != 0) n = sprintf(room, "%lld day%s, ", days, days == 1 || days == -1 ? "" : "s");
    n += sprintf(room + n, "%lld:%02lld:%02lld", x / 3600000000, x / 60000000 % 60,
                 x / 1000000 % 60);
    if (x % 1000000 != 0) sprintf(room + n, ".%06lld", x % 1000000);
    return *s == '\0';
}

static void set_text(sqn_cell *out, sqn_cell_kind kind, const char *bytes, size_t n) {
    *out = (sqn_cell){.kind = kind, .length = n, .as.bytes = bytes};
    if (kind == SQN_CELL_TEXT) out->bad_utf8 = !sqn_cell_text_valid(bytes, n);
}

/* A number with so many digits before the point does not fit in 64 bits. */
static void set_integer(const MYSQL_FIELD *field, const char *bytes, size_t n, sqn_cell *out) {
    unsigned long long x = strtoull(bytes, NULL, 10);
    if ((field->flags & UNSIGNED_FLAG) && x > INT64_MAX) {
        set_text(out, SQN_CELL_DECIMAL, bytes, n);
        return;
    }
    *out = (sqn_cell){.kind = SQN_CELL_INT, .as.integer = strtoll(bytes, NULL, 10)};
}

void sqn_mysql_cell(const MYSQL_FIELD *field, const char *bytes, size_t n,
                    char room[SQN_MYSQL_CELL_ROOM], sqn_cell *out) {
    *out = (sqn_cell){.kind = SQN_CELL_NULL};
    if (bytes == NULL) return;
    if (field == NULL) {
        set_text(out, SQN_CELL_TEXT, bytes, n);
        return;
    }
    bool date = field->type == MYSQL_TYPE_DATE || field->type == MYSQL_TYPE_NEWDATE;
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        set_integer(field, bytes, n, out);
        return;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
        *out = (sqn_cell){.kind = SQN_CELL_DOUBLE, .as.real = strtod(bytes, NULL)};
        return;
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        set_text(out, SQN_CELL_DECIMAL, bytes, n);
        return;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_NEWDATE:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        if (n < 40 && put_date(bytes, !date, room))
            set_text(out, date ? SQN_CELL_DATE : SQN_CELL_DATETIME, room, strlen(room));
        else
            set_text(out, SQN_CELL_TEXT, bytes, n);
        return;
    case MYSQL_TYPE_TIME:
        if (n < 40 && put_interval(bytes, room))
            set_text(out, SQN_CELL_INTERVAL, room, strlen(room));
        else
            set_text(out, SQN_CELL_TEXT, bytes, n);
        return;
    default: {
        bool json = field->type == MYSQL_TYPE_JSON; /* text, although its charset says binary */
        bool binary = field->type == MYSQL_TYPE_BIT || field->charsetnr == BINARY_CHARSET;
        set_text(out, binary && !json ? SQN_CELL_BLOB : SQN_CELL_TEXT, bytes, n);
    }
    }
}

bool sqn_mysql_error_cuts(unsigned code) {
    switch (code) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_NET_PACKET_TOO_LARGE:
    case CR_MALFORMED_PACKET:
    case CR_COMMANDS_OUT_OF_SYNC:
    case ER_CONNECTION_KILLED:
    case ER_SERVER_SHUTDOWN:
    case ER_NET_PACKET_TOO_LARGE:
    case ER_NET_PACKETS_OUT_OF_ORDER:
    case ER_NET_UNCOMPRESS_ERROR:
    case ER_NET_READ_ERROR:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
    case ER_NEW_ABORTING_CONNECTION:
        return true;
    default:
        return false;
    }
}

sqn_status sqn_mysql_error_kind(unsigned code) {
    switch (code) {
    case ER_STATEMENT_TIMEOUT:
    case 3024: /* MySQL: max_execution_time */
        return SQN_TIMEOUT;
    case ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_PROCACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
        return SQN_DENIED;
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_RESOURCES:
    case ER_OUT_OF_SORTMEMORY:
    case ER_RECORD_FILE_FULL:
    case ER_DISK_FULL:
    case ER_STACK_OVERRUN_NEED_MORE:
    case ER_STACK_OVERRUN:
    case ER_TOO_BIG_SELECT:
    case ER_OPTION_PREVENTS_STATEMENT: /* max_session_mem_used */
    case CR_NET_PACKET_TOO_LARGE:
    case ER_NET_PACKET_TOO_LARGE:
        return SQN_LIMIT;
    default:
        return sqn_mysql_error_cuts(code) || (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR)
                   ? SQN_IO
                   : SQN_DB;
    }
}
