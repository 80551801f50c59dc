/* Loads that go through librdkafka, the client that most programs use.
 *
 *   rdload produce broker=H:P topic=T count=N [size=100] [pid=BROKER]
 *   rdload consume broker=H:P topic=T count=N            [pid=BROKER]
 *   rdload latency broker=H:P topic=T rate=R seconds=S [size=100] [linger=0] [pid=BROKER]
 *
 * produce and consume: N records with the client's own defaults. latency: an open loop, paced by
 * the clock; every message carries the time at which it was due, so that a stall is charged to each
 * message that it delays. Producer and consumer are one process with one clock. The topic has one
 * partition. Prints one line of key=value figures; any message that failed is exit code 1. */
#define _GNU_SOURCE
#include "measuring.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>

/* ---- what was asked for ---- */

static const char *broker = "", *topic_name = "", *linger; /* the client's default */
static long count, size = 100, rate, seconds, broker_pid;

static void read_option(char *text) {
    char *value = strchr(text, '=');
    if (!value)
        die("rdload: %s is not name=value", text);
    *value++ = 0;
    if (!strcmp(text, "broker"))
        broker = value;
    else if (!strcmp(text, "topic"))
        topic_name = value;
    else if (!strcmp(text, "linger"))
        linger = value;
    else if (!strcmp(text, "count"))
        count = atol(value);
    else if (!strcmp(text, "size"))
        size = atol(value);
    else if (!strcmp(text, "rate"))
        rate = atol(value);
    else if (!strcmp(text, "seconds"))
        seconds = atol(value);
    else if (!strcmp(text, "pid"))
        broker_pid = atol(value);
    else
        die("rdload: there is no option %s", text);
}

/* ---- clocks ---- */

static double broker_cpu(void) {
    return cpu_of(broker_pid);
}

static double own_cpu(void) {
    return nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID) * 1e-9;
}

static void sleep_until(int64_t due) {
    struct timespec t = {due / 1000000000LL, due % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* ---- clients ---- */

static atomic_long failed, delivered;

static void report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    (*(message->err ? &failed : &delivered))++;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error))
        die("%s", error);
}

static rd_kafka_conf_t *configuration(void) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", broker);
    set(conf, "socket.nagle.disable", "true");
    set(conf, "log.connection.close", "false");
    return conf;
}

static rd_kafka_t *client_of(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char error[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (!client)
        die("%s", error);
    return client;
}

/* A producer that knows the topic already, so that no look-up is measured. */
static rd_kafka_t *producer(rd_kafka_topic_t **topic) {
    rd_kafka_conf_t *conf = configuration();
    const struct rd_kafka_metadata *metadata;
    set(conf, "acks", "1");
    if (linger)
        set(conf, "linger.ms", linger);
    rd_kafka_conf_set_dr_msg_cb(conf, report);
    rd_kafka_t *client = client_of(RD_KAFKA_PRODUCER, conf);
    *topic = rd_kafka_topic_new(client, topic_name, NULL);
    if (rd_kafka_metadata(client, 0, *topic, &metadata, 10000))
        die("no metadata of %s", topic_name);
    rd_kafka_metadata_destroy(metadata);
    return client;
}

static void send_one(rd_kafka_t *client, rd_kafka_topic_t *topic, void *value) {
    while (rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, value, size, NULL, 0, NULL) == -1) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(client, 1);
    }
}

static void finish(rd_kafka_t *client) {
    if (rd_kafka_flush(client, 60000) || failed)
        die("%ld messages failed, %d were not sent", (long)failed, rd_kafka_outq_len(client));
}

/* ---- produce, consume ---- */

static void print_records(double took, double broker_s, double own_s) {
    printf("records_per_s=%.0f cpu_s_per_million=%.4f client_cpu_s_per_million=%.4f\n",
           count / took, broker_s / count * 1e6, own_s / count * 1e6);
}

static int produce(void) {
    rd_kafka_topic_t *topic;
    rd_kafka_t *client = producer(&topic);
    char *value = calloc(1, size);
    int64_t start = now_ns();
    double cpu = broker_cpu(), own = own_cpu();
    for (long i = 0; i < count; i++) {
        memcpy(value, &i, 8);
        send_one(client, topic, value);
        if (i % 1000 == 0)
            rd_kafka_poll(client, 0);
    }
    finish(client);
    print_records((now_ns() - start) * 1e-9, broker_cpu() - cpu, own_cpu() - own);
    return 0;
}

static int consume(void) {
    rd_kafka_t *client = client_of(RD_KAFKA_CONSUMER, configuration());
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, topic_name, NULL);
    int64_t start = now_ns();
    double cpu = broker_cpu(), own = own_cpu();
    rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING);
    static rd_kafka_message_t *some[1000];
    for (long got = 0; got < count;) {
        ssize_t n = rd_kafka_consume_batch(topic, 0, 10000, some, 1000);
        if (n <= 0)
            die("only %ld records came", got);
        for (ssize_t i = 0; i < n; i++) {
            got += !some[i]->err;
            rd_kafka_message_destroy(some[i]);
        }
    }
    print_records((now_ns() - start) * 1e-9, broker_cpu() - cpu, own_cpu() - own);
    return 0;
}

/* ---- latency ---- */

static atomic_int sending = 1;

static void *poller(void *client) {
    while (sending)
        rd_kafka_poll(client, 50);
    return NULL;
}

static void *paced(void *unused) {
    (void)unused;
    rd_kafka_topic_t *topic;
    rd_kafka_t *client = producer(&topic);
    pthread_t reports;
    pthread_create(&reports, NULL, poller, client);
    prctl(PR_SET_TIMERSLACK, 1000);
    char *value = calloc(1, size);
    int64_t start = now_ns() + 200000000LL;
    for (long i = 0; i < rate * seconds; i++) {
        int64_t due = start + i * 1000000000LL / rate;
        sleep_until(due);
        memcpy(value, &due, 8);
        send_one(client, topic, value);
    }
    finish(client);
    sleep_until(now_ns() + 1000000000LL); /* the consumer's share of what was just acknowledged */
    sending = 0;
    pthread_join(reports, NULL);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* A consumer at the end of the topic: the event "end of partition" says that it is there. */
static rd_kafka_topic_t *at_the_end(void) {
    rd_kafka_conf_t *conf = configuration();
    set(conf, "enable.partition.eof", "true");
    rd_kafka_topic_t *topic =
        rd_kafka_topic_new(client_of(RD_KAFKA_CONSUMER, conf), topic_name, NULL);
    rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_END);
    for (int tries = 0; tries < 100; tries++) {
        rd_kafka_message_t *message = rd_kafka_consume(topic, 0, 100);
        int end = message && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (message)
            rd_kafka_message_destroy(message);
        if (end)
            return topic;
    }
    die("the consumer did not reach the end of %s", topic_name);
    return NULL;
}

static double millisecond(const int64_t *sorted, long n, double quantile) {
    return sorted[(long)((n - 1) * quantile)] * 1e-6;
}

static int latency(void) {
    long wanted = rate * seconds, got = 0, skipped = wanted / 10; /* the first tenth warms up */
    int64_t *took = malloc(wanted * sizeof *took);
    rd_kafka_topic_t *topic = at_the_end();
    double cpu = broker_cpu();
    pthread_t sender;
    pthread_create(&sender, NULL, paced, NULL);
    while (got < wanted) {
        rd_kafka_message_t *message = rd_kafka_consume(topic, 0, 100);
        if (!message && !sending)
            die("%ld of %ld messages came", got, wanted);
        if (message && !message->err) {
            int64_t due;
            memcpy(&due, message->payload, 8);
            took[got++] = now_ns() - due;
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
    cpu = broker_cpu() - cpu;
    pthread_join(sender, NULL);
    long n = wanted - skipped;
    int64_t *kept = took + skipped;
    qsort(kept, n, sizeof *kept, ascending);
    printf("p50_ms=%.3f p99_ms=%.3f p999_ms=%.3f max_ms=%.3f cpu_s_per_million=%.2f\n",
           millisecond(kept, n, .5), millisecond(kept, n, .99), millisecond(kept, n, .999),
           millisecond(kept, n, 1), cpu / wanted * 1e6);
    return 0;
}

int main(int arguments, char **values) {
    for (int i = 2; i < arguments; i++)
        read_option(values[i]);
    size = size < 8 ? 8 : size;
    if (!linger && arguments > 1 && !strcmp(values[1], "latency"))
        linger = "0";
    if (arguments > 1 && !strcmp(values[1], "produce"))
        return produce();
    if (arguments > 1 && !strcmp(values[1], "consume"))
        return consume();
    if (arguments > 1 && !strcmp(values[1], "latency") && rate && seconds)
        return latency();
    die("usage: see the head of rdload.c");
}
