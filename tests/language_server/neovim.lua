-- What Neovim shows of the spec that is open, asked by the functions its own keys call: JSON in $SEEN.
local PATIENCE, PAUSE = 60000, 20 -- milliseconds, on a machine that is busy
local seen = {}
local running

--- Lets Neovim go on until something is ready, which is returned.
local function await(what, ready)
  for _ = 1, PATIENCE / PAUSE do
    local found = ready()
    if found then
      return found
    end
    vim.defer_fn(function()
      coroutine.resume(running)
    end, PAUSE)
    coroutine.yield()
  end
  error(what .. " did not come")
end

local function text()
  return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n") .. "\n"
end

--- Puts the cursor on the first letter of the first such words.
local function go(words)
  vim.fn.cursor(1, 1)
  assert(vim.fn.search("\\V" .. words, "c") > 0, words)
end

local function press(keys)
  vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(keys, true, false, true), "n", false)
end

--- The text once an answer has changed it.
local function edited(what, ask, ...)
  local tick = vim.b.changedtick
  ask(...)
  return await(what, function()
    return vim.b.changedtick ~= tick and text()
  end)
end

local function fixable()
  local found = vim.tbl_filter(function(said)
    return said.message:find("help: this makes it maximal", 1, true)
  end, vim.diagnostic.get(0))
  return found[1]
end

local function look()
  seen.filetype, seen.commentstring = vim.bo.filetype, vim.bo.commentstring
  local fix = await("the search for a fix", fixable)
  seen.diagnostics = vim.tbl_map(function(said)
    return { said.lnum + 1, said.code or said.user_data.lsp.code }
  end, vim.diagnostic.get(0))

  go("project @ y")
  vim.lsp.buf.hover()
  local window = await("hover", function()
    return vim.api.nvim_list_wins()[2]
  end)
  local shown = vim.api.nvim_win_get_buf(window)
  seen.hover = table.concat(vim.api.nvim_buf_get_lines(shown, 0, -1, false), "\n")
  vim.api.nvim_win_close(window, true)

  seen.hints = vim.NIL -- before 0.10
  if vim.lsp.inlay_hint then
    seen.hints = await("hints", function()
      local found = vim.lsp.inlay_hint.get({ bufnr = 0 })
      return #found > 0 and vim.tbl_map(function(hint)
        return hint.inlay_hint.label
      end, found)
    end)
  end

  go("sp\\n")
  press("A<BS><BS><C-x><C-o>")
  local items = await("completion", function()
    return vim.fn.pumvisible() == 1 and vim.fn.complete_info({ "items" }).items
  end)
  seen.completion = vim.tbl_map(function(item)
    return item.word
  end, items)
  press("<C-e><Esc>u")
  fix = await("the search for a fix", fixable)

  vim.fn.cursor(fix.lnum + 1, fix.col + 1)
  vim.ui.select = function(actions, options, chosen)
    seen.action = options.format_item(actions[1])
    chosen(actions[1], 1)
  end
  seen.fixed = edited("the quick fix", vim.lsp.buf.code_action)
  go("query @ x")
  seen.renamed = edited("the rename", vim.lsp.buf.rename, "q")
  vim.fn.setline(vim.fn.search("dim depth"), "dim depth=12")
  seen.formatted = edited("formatting", vim.lsp.buf.format or vim.lsp.buf.formatting)
end

running = coroutine.create(function()
  local well, problem = pcall(look)
  seen.problem = not well and problem or nil
  vim.fn.writefile({ vim.json.encode(seen) }, vim.env.SEEN)
  vim.cmd("qall!")
end)
coroutine.resume(running)
