/* The loops of the entropy coder; `plain.py` says the same in Python, and `stack.py` what they are for.
 *
 * Only the limited API of Python 3.11 is used, so that one wheel serves every later version. Arrays come as buffers
 * whose types `stack.py` has seen to; nothing is read or written outside them, whatever they hold.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define BITS 16                     /* a table's frequencies add up to 2**BITS */
#define BUCKET_BITS 8               /* slots whose first symbol is looked up together */
#define LEAST ((uint64_t)1 << 32)   /* below this a state takes a word, as long as there are any */

typedef struct {
    Py_buffer words, symbols, rows, edges, firsts;
    Py_ssize_t tables, width;       /* the edges of a table are one more than its symbols */
    Py_ssize_t count, used;         /* symbols; words on the stack */
    unsigned long long state;
    int stop;
} Call;

static void release(Call *call)
{
    Py_buffer *all[] = {&call->words, &call->symbols, &call->rows, &call->edges, &call->firsts};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->obj)
            PyBuffer_Release(all[i]);
}

static PyObject *refuse(Call *call, Py_ssize_t at)
{
    release(call);
    return PyErr_Format(PyExc_ValueError, "symbol %zd is in no table, or has no frequency there", at);
}

/* The arguments as buffers: 0, or -1 and an exception where they do not fit each other. */
static int begin(Call *call, PyObject *args, int pops)
{
    PyObject *words, *symbols, *rows, *edges, *firsts = NULL;
    if (!PyArg_ParseTuple(args, pops ? "KOnOOOOp" : "KOnOOO", &call->state, &words, &call->used, &symbols, &rows, &edges,
                          &firsts, &call->stop))
        return -1;
    if (PyObject_GetBuffer(words, &call->words, pops ? PyBUF_CONTIG_RO : PyBUF_CONTIG)
        || PyObject_GetBuffer(symbols, &call->symbols, pops ? PyBUF_CONTIG : PyBUF_CONTIG_RO)
        || PyObject_GetBuffer(rows, &call->rows, PyBUF_CONTIG_RO)
        || PyObject_GetBuffer(edges, &call->edges, PyBUF_CONTIG_RO)
        || (pops && PyObject_GetBuffer(firsts, &call->firsts, PyBUF_CONTIG_RO)))
        return -1;
    int fits = call->edges.ndim == 2 && call->rows.len == call->symbols.len && call->used >= 0
               && call->used <= call->words.len / 4;
    if (fits) {
        call->count = call->rows.len / 4;
        call->tables = call->edges.shape[0];
        call->width = call->edges.shape[1];
        fits = call->edges.len == 4 * call->tables * call->width && call->width > 1
               && (!pops || call->firsts.len == 2 * call->tables << (BITS - BUCKET_BITS));
    }
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "the arrays of the entropy coder do not fit each other");
    return fits ? 0 : -1;
}

static PyObject *push(PyObject *module, PyObject *args)
{
    Call call = {0};
    if (begin(&call, args, 0)) {
        release(&call);
        return NULL;
    }
    const int32_t *symbols = call.symbols.buf;
    const uint32_t *rows = call.rows.buf, *edges = call.edges.buf;
    uint32_t *words = call.words.buf;
    Py_ssize_t at = call.count, used = call.used, room = call.words.len / 4;
    uint64_t state = call.state;

    Py_BEGIN_ALLOW_THREADS
    while (at-- > 0) {
        if (rows[at] >= call.tables || symbols[at] < 0 || symbols[at] >= call.width - 1)
            break;
        const uint32_t *edge = edges + rows[at] * call.width + symbols[at];
        uint64_t frequency = edge[1] - edge[0];
        if (!frequency || used == room)
            break;
        if (state >= frequency << (64 - BITS)) {
            words[used++] = (uint32_t)state;
            state >>= 32;
        }
        uint64_t quotient = state / frequency;
        state = (quotient << BITS) + (state - quotient * frequency) + edge[0];
    }
    Py_END_ALLOW_THREADS

    if (at >= 0)
        return refuse(&call, at);
    release(&call);
    return Py_BuildValue("(Kn)", (unsigned long long)state, used);
}

static PyObject *pop(PyObject *module, PyObject *args)
{
    Call call = {0};
    if (begin(&call, args, 1)) {
        release(&call);
        return NULL;
    }
    int32_t *symbols = call.symbols.buf;
    const uint32_t *rows = call.rows.buf, *edges = call.edges.buf, *words = call.words.buf;
    const uint16_t *firsts = call.firsts.buf;
    Py_ssize_t at = 0, used = call.used;
    uint64_t state = call.state;
    int wrong = 0, ended = 0;

    Py_BEGIN_ALLOW_THREADS
    while (at < call.count && !ended) {
        uint32_t row = rows[at], slot = (uint32_t)state & ((1u << BITS) - 1);
        if ((wrong = row >= call.tables))
            break;
        const uint32_t *table = edges + row * call.width, *last = table + call.width - 1;
        const uint32_t *edge = table + firsts[(row << (BITS - BUCKET_BITS)) + (slot >> BUCKET_BITS)];
        while (edge < last && edge[1] <= slot)
            edge++;
        if ((wrong = edge >= last))
            break;
        symbols[at++] = (int32_t)(edge - table);
        state = (edge[1] - edge[0]) * (state >> BITS) + slot - edge[0];
        if (state < LEAST) {
            if (used > 0)
                state = state << 32 | words[--used];
            else
                ended = call.stop;
        }
    }
    Py_END_ALLOW_THREADS

    if (wrong)
        return refuse(&call, at);
    release(&call);
    return Py_BuildValue("(Knn)", (unsigned long long)state, used, at);
}

static PyMethodDef methods[] = {
    {"push", push, METH_VARARGS, "push(state, words, used, symbols, rows, edges) -> (state, used)"},
    {"pop", pop, METH_VARARGS, "pop(state, words, used, symbols, rows, edges, firsts, stop) -> (state, used, count)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_ans", "The entropy coder's loops.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__ans(void)
{
    return PyModuleDef_Init(&definition);
}
